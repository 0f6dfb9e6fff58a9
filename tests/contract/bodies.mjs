// SPDX-License-Identifier: Apache-2.0
//
// Bodies out of a JSON schema: some that fit, and the same with one thing broken. The schema's validator has the last word on
// which is which.
import {need} from './contract.mjs';

const fc = need('fast-check');
const DEPTH = 6;

// Texts that mean something in one place or another, and those that tend to hurt.
const text = fc.oneof(
  {weight: 4, arbitrary: fc.constantFrom('scratch', 'a', '127.0.0.1:1/app:1', '127.0.0.1:1/app', '/srv/x', 'oci:/srv/out:1', '', '..', '/', '\u0000',
    'sha256:', '0644', 'u+x', '0:0', '\ud83d\ude00', '/etc/passwd', '%s%n', 'a'.repeat(300), '[', '*', '2026-01-01T00:00:00Z')},
  {weight: 1, arbitrary: fc.string({maxLength: 40})});
const reference = fc.constantFrom('127.0.0.1:1/app:1', '127.0.0.1:1/team/app:2', 'oci:/srv/out:1', '127.0.0.1:1/app@sha256:' + '0'.repeat(64));
const digest = fc.integer({min: 0, max: 15}).map((n) => 'sha256:' + n.toString(16).repeat(64));
const BY_NAME = {
  base: fc.oneof(fc.constant('scratch'), reference), source: reference, ref: reference, targets: null, from: fc.constantFrom('/srv/x', '127.0.0.1:1/a:1'),
  onto: reference, to: fc.constantFrom('/', '/a', '/a/b/', '/x'), path: fc.constantFrom('/a', '/a/b'), registry: fc.constant('127.0.0.1:1'),
};
const anything = fc.jsonValue({maxDepth: 3});

function integer(schema) {
  const min = schema.minimum ?? -5, max = schema.maximum ?? Math.max(min, 0) + 1e6;
  return fc.oneof(fc.constantFrom(min, max), fc.integer({min, max: Math.min(max, Number.MAX_SAFE_INTEGER)}));
}

function string(schema, name) {
  if (BY_NAME[name]) return fc.oneof({weight: 5, arbitrary: BY_NAME[name]}, {weight: 1, arbitrary: text});
  if (schema.pattern?.includes('sha256')) return digest;
  if (schema.pattern?.startsWith('^[0-9]+:')) return fc.constantFrom('0:0', '1000:1000', '4294967295:0', '99999999999:1');
  if (schema.pattern) return fc.constantFrom('linux/amd64', 'linux/arm64', 'linux/arm/v7');
  if (schema.format === 'date-time') return fc.constantFrom('2026-01-01T00:00:00Z', '1970-01-01T00:00:00Z', '2026-01-01T00:00:00.5+02:00');
  return schema.maxLength ? text.map((value) => value.slice(0, schema.maxLength)) : text;
}

function object(contract, schema, depth) {
  const members = {};
  for (const [name, value] of Object.entries(schema.properties ?? {})) members[name] = arbitrary(contract, value, depth - 1, name);
  const required = (schema.required ?? []).filter((name) => members[name]);
  const base = fc.record(members, {requiredKeys: required});
  if (!schema.additionalProperties || typeof schema.additionalProperties !== 'object') return base;
  const more = fc.dictionary(text, arbitrary(contract, schema.additionalProperties, depth - 1), {maxKeys: 3});
  return fc.tuple(base, more).map(([a, b]) => ({...b, ...a}));
}

// Values that mostly fit. Members are seldom many: fast-check leaves half of the optional ones out.
export function arbitrary(contract, node, depth = DEPTH, name = '') {
  const [schema] = contract.at(node, '');
  if (depth <= 0) return fc.constant(null);
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum) return fc.constantFrom(...schema.enum);
  if (schema.allOf) return arbitrary(contract, schema.allOf[0], depth, name);
  if (schema.oneOf && !schema.properties) return fc.oneof(...schema.oneOf.map((one) => arbitrary(contract, one, depth, name)));
  const types = [schema.type ?? (schema.properties ? 'object' : 'any')].flat();
  return fc.oneof(...types.map((type) => {
    if (type === 'object') return object(contract, schema, depth);
    if (type === 'array')
      return fc.array(arbitrary(contract, schema.items ?? {}, depth - 1, name), {minLength: schema.minItems ?? 0, maxLength: (schema.minItems ?? 0) + 2});
    if (type === 'string') return string(schema, name);
    if (type === 'integer') return integer(schema);
    if (type === 'boolean') return fc.boolean();
    return type === 'null' ? fc.constant(null) : anything;
  }));
}

// All places of a value: [holder, key].
function places(value, found = []) {
  if (value && typeof value === 'object')
    for (const key of Object.keys(value)) {
      found.push([value, key]);
      places(value[key], found);
    }
  return found;
}

const BREAKS = [
  (holder, key) => { delete holder[key]; },
  (holder, key) => { holder[key] = null; },
  (holder, key) => { holder[key] = [holder[key]]; },
  (holder, key) => { holder[key] = {[key]: holder[key]}; },
  (holder, key, junk) => { holder[key] = junk; },
  (holder, key) => { holder[key] = typeof holder[key] === 'number' ? holder[key] + 0.5 : 17; },
  (holder, key) => { holder[key] = typeof holder[key] === 'number' ? -1e300 : `${key}\u0001`; },
  (holder, key, junk) => { if (!Array.isArray(holder)) holder[`${key}_`] = junk; },
  (holder, key) => { holder[key] = Array(200).fill(holder[key]); },
];

// A body with one to three things broken.
export function broken(contract, schema) {
  const step = fc.tuple(fc.nat(), fc.nat(BREAKS.length - 1), anything);
  const damaged = fc.tuple(arbitrary(contract, schema), fc.array(step, {minLength: 1, maxLength: 3})).map(([body, steps]) => {
    const whole = {body: structuredClone(body)};
    for (const [where, how, junk] of steps) {
      const all = places(whole);
      if (!all.length) break;
      const [holder, key] = all[where % all.length];
      BREAKS[how](holder, key, structuredClone(junk));
    }
    return whole.body === undefined ? null : whole.body;
  });
  return fc.oneof({weight: 6, arbitrary: damaged}, {weight: 1, arbitrary: anything});
}

// Texts that are no JSON, or JSON that no object can be.
const sound = '{"kind":"copy","source":"127.0.0.1:1/a:1","targets":["127.0.0.1:1/b:1"]';
export const HOPELESS = [
  '', ' ', '{', '{"kind"', '[]', 'null', '"x"', '1', 'NaN', `${sound}`, `${sound},}`, `${sound}}{}`, `${sound},"kind":"copy"}`,
  `${sound},"labels":{"a":"\\ud800"}}`, `${sound},"labels":{"a\\u0000":"1"}}`, '['.repeat(100000), '{"a":'.repeat(5000), `${sound},"priority":1e400}`,
  `${sound},"priority":9223372036854775808}`, `${sound},"labels":{${Array(70000).fill(0).map((_, i) => `"${i}":""`)}}}`,
  Buffer.concat([Buffer.from(`${sound},"labels":{"a":"`), Buffer.from([0xff, 0xc0, 0x80]), Buffer.from('"}}')]), `\ufeff${sound}}`,
  `${sound},"labels":{"a":"${'x'.repeat(1 << 20)}"}}`,
];
