// SPDX-License-Identifier: Apache-2.0
//
// The contract as a judge: sends requests over a unix socket and holds each answer against api/openapi.yaml - status, media type,
// JSON body, each event of a stream. Answers may hold nothing that the contract does not name ("closed"), although
// clients must bear it: what is sent is documented.
import assert from 'node:assert/strict';
import http from 'node:http';
import {createRequire} from 'node:module';

const ANSWER_MS = 40000;

// The packages are installed in the build directory.
export const need = createRequire(`${process.env.MODULES}/`);
const Ajv = need('ajv/dist/2020').default;
const addFormats = need('ajv-formats').default;

const METHODS = ['get', 'head', 'put', 'post', 'delete'];

// A copy in which objects with members take no others. What stands in an allOf stays open: the whole is closed.
function closed(node, open) {
  if (Array.isArray(node)) return node.map((item) => closed(item, open));
  if (!node || typeof node !== 'object') return node;
  const copy = {};
  for (const [key, value] of Object.entries(node)) {
    if (key === '$ref') copy[key] = open ? value.replace(/^#/, 'open#') : value;
    else copy[key] = closed(value, key === 'allOf' || (open && key !== 'properties'));
  }
  const plain = (node.type === 'object' || node.allOf) && node.properties;
  if (plain && !open && node.additionalProperties === undefined) copy.unevaluatedProperties = false;
  return copy;
}

export class Contract {
  constructor(document) {
    this.document = document;
    this.ajv = new Ajv({strict: false, allErrors: false});
    addFormats(this.ajv);
    this.ajv.addSchema({...document, $id: 'open'});
    this.ajv.addSchema({...closed(document, false), $id: 'closed'});
    this.operations = new Map();
    this.answered = new Map(); // operationId -> statuses seen
    for (const [path, item] of Object.entries(document.paths))
      for (const method of METHODS)
        if (item[method]) this.operations.set(item[method].operationId, {path, method, pointer: `/paths/${escape(path)}/${method}`, ...item[method]});
  }

  // Follows $ref by one step.
  at(node, pointer) {
    if (!node?.$ref) return [node, pointer];
    const target = node.$ref.slice(1);
    return [target.slice(1).split('/').reduce((value, key) => value[unescape(key)], this.document), target];
  }

  validator(pointer, variant = 'closed') {
    return this.ajv.getSchema(`${variant}#${pointer}`) ?? this.ajv.compile({$ref: `${variant}#${pointer}`});
  }

  check(pointer, value, what) {
    const valid = this.validator(pointer);
    if (!valid(value)) assert.fail(`${what}: ${this.ajv.errorsText(valid.errors)}\n${JSON.stringify(value).slice(0, 2000)}`);
  }

  // Judges an answer. Its body was read unless it is a stream without end, of which a part was.
  judge(id, answer) {
    const operation = this.operations.get(id), what = `${operation.method} ${answer.path} ${answer.status}`;
    assert.ok(answer.status < 500, `${what}: ${answer.text}`);
    const key = operation.responses[answer.status] ? answer.status : 'default';
    assert.ok(key !== 'default' || answer.status >= 400, `${what} is not in the contract: ${answer.text}`);
    const [response, pointer] = this.at(operation.responses[key], `${operation.pointer}/responses/${key}`);
    for (const [name, header] of Object.entries(response.headers ?? {}))
      if (answer.headers[name.toLowerCase()] !== undefined) this.header(`${pointer}/headers/${name}`, header, answer.headers[name.toLowerCase()], what);
    this.body(response.content ?? {}, `${pointer}/content`, answer, what);
    if (!this.answered.has(id)) this.answered.set(id, new Set());
    this.answered.get(id).add(answer.status);
    return answer;
  }

  header(pointer, header, value, what) {
    const [found, at] = this.at(header, pointer);
    this.check(`${at}/schema`, found.schema.type === 'integer' ? Number(value) : value, `${what} ${at}`);
  }

  body(content, pointer, answer, what) {
    const type = (answer.headers['content-type'] ?? '').split(';')[0];
    if (!answer.bytes.length) return;
    const media = content[type] ? type : '*/*';
    assert.ok(content[media], `${what}: ${type} is not in the contract: ${answer.text.slice(0, 500)}`);
    const at = `${pointer}/${escape(media)}`;
    if (content[media]['x-item-schema'])
      for (const item of events(type, answer)) this.check(`${at}/x-item-schema`, item, `${what} event`);
    else if (/[/+]json$/.test(type) && content[media].schema) this.check(`${at}/schema`, JSON.parse(answer.text), what);
  }
}

export const escape = (text) => encodeURIComponent(text.replaceAll('~', '~0').replaceAll('/', '~1')).replaceAll('%7B', '{').replaceAll('%7D', '}');
const unescape = (text) => decodeURIComponent(text).replaceAll('~1', '/').replaceAll('~0', '~');

// The events of a stream; a line that was cut by us, at its end, does not count.
export function events(type, answer) {
  const lines = answer.text.split('\n');
  if (answer.cut) lines.pop();
  if (type === 'text/event-stream')
    return lines.filter((line) => line.startsWith('data:')).map((line) => JSON.parse(line.slice(5)));
  return lines.filter(Boolean).map((line) => JSON.parse(line));
}

// Sends a request. `enough(text)` ends a stream that has no end.
export function send(socketPath, method, path, {headers = {}, body, enough} = {}) {
  return new Promise((resolve, reject) => {
    const request = http.request({socketPath, method, path, headers: {Host: 'localhost', ...headers}}, (response) => {
      const chunks = [];
      const done = (cut) => {
        clearTimeout(late);
        const bytes = Buffer.concat(chunks);
        resolve({path, cut, status: response.statusCode, headers: response.headers, bytes, text: bytes.toString()});
      };
      response.on('data', (chunk) => {
        chunks.push(chunk);
        if (enough?.(Buffer.concat(chunks).toString())) {
          done(true);
          request.destroy();
        }
      });
      response.on('end', () => done(false));
      response.on('error', reject);
    });
    const late = setTimeout(() => request.destroy(new Error(`${method} ${path}: no end of the answer`)), ANSWER_MS);
    request.on('error', (error) => {
      clearTimeout(late);
      reject(error);
    });
    request.end(body);
  });
}
