require('left');
