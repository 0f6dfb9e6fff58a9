// SPDX-License-Identifier: Apache-2.0
#include "layers/charset.h"

int charset_enter(struct charset *charset, struct error *err)
{
    *charset = (struct charset){0};
    charset->utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (!charset->utf8)
        return error_set(err, ERR_INTERNAL,
                         "the system lacks the locale C.UTF-8, without which names would be changed");
    charset->before = uselocale(charset->utf8);
    return 0;
}

void charset_leave(struct charset *charset)
{
    if (!charset->utf8)
        return;
    uselocale(charset->before);
    freelocale(charset->utf8);
    *charset = (struct charset){0};
}
