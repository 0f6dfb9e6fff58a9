// SPDX-License-Identifier: Apache-2.0
//
// Every operation of api/openapi.yaml against a running drayd, with the examples of the contract; then what nobody should send.
// openapi.py starts the daemons and the registry, and puts there what the examples name.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';

import {arbitrary, broken, HOPELESS} from './bodies.mjs';
import {Contract, events, need, send} from './contract.mjs';

const fc = need('fast-check');
// live runs jobs; paused takes them only. registry stands for those of the examples, srv for /srv.
const {live, paused, registry, srv, api} = JSON.parse(process.env.CONTRACT);
const written = need('yaml').parse(fs.readFileSync(path.join(api, 'openapi.yaml'), 'utf8'));
const contract = new Contract(written);
const json = {'Content-Type': 'application/json'};
// The same cases each time; CONTRACT_SEED and CONTRACT_RUNS go for others.
const seed = Number(process.env.CONTRACT_SEED ?? 20261123), runs = Number(process.env.CONTRACT_RUNS ?? 2000);
const LIMIT_MS = 15000 * Math.max(1, runs / 2000);

const local = (text) => text.replaceAll('docker.io/library', `${registry}/library`).replaceAll(/reg\.example\.com|localhost:5000/g, registry)
  .replaceAll('/srv', srv);

async function call(id, target, options = {}, socket = live) {
  const {method} = contract.operations.get(id);
  return contract.judge(id, await send(socket, method.toUpperCase(), target, options));
}

// The request of an operation as its examples say. `given` has what no example can know: ids of this daemon.
function exampleOf(id, given = {}) {
  const operation = contract.operations.get(id), query = new URLSearchParams(), headers = {};
  let target = operation.path;
  for (const one of operation.parameters ?? []) {
    const [parameter] = contract.at(one);
    const value = given[parameter.name] ?? parameter.example ?? (parameter.required ? parameter.schema.enum?.[0] : undefined);
    if (value === undefined) continue;
    if (parameter.in === 'path') target = target.replace(`{${parameter.name}}`, local(String(value)));
    else if (parameter.in === 'header') headers[parameter.name] = String(value);
    else query.set(parameter.name, local(String(value)));
  }
  return {target: target + (query.size ? `?${query}` : ''), headers};
}

async function byExample(id, given, options = {}) {
  const {target, headers} = exampleOf(id, given);
  return call(id, target, {...options, headers: {...headers, ...options.headers}});
}

const example = (name) => local(fs.readFileSync(path.join(api, 'examples', name), 'utf8'));
const small = {kind: 'build', base: 'scratch', targets: [`${registry}/contract:1`], layers: [{files: [{type: 'file', to: '/x', text: 'x'}]}]};
const post = (spec, headers = {}, socket = live) =>
  call('createJob', '/v1/jobs', {body: JSON.stringify(spec), headers: {...json, ...headers}}, socket);
const finished = async () => JSON.parse((await post(small, {Prefer: 'wait=30'})).text);

test('the daemon serves the contract', async () => {
  assert.deepEqual(JSON.parse((await call('getOpenApi', '/openapi.json')).text), JSON.parse(JSON.stringify(written)));
});

test('every request body example', async () => {
  // The blob that they name.
  await byExample('postBlob', {}, {body: 'hello', headers: {'Content-Type': 'application/octet-stream'}});
  for (const [id, operation] of contract.operations)
    for (const [type, media] of Object.entries(operation.requestBody?.content ?? {})) {
      const values = [media.example, ...Object.values(media.examples ?? {}).map((one) =>
        one.externalValue ? JSON.parse(example(path.relative('examples', one.externalValue))) : one.value)];
      for (const value of values.filter((one) => one !== undefined)) {
        assert.ok(contract.validator(`${operation.pointer}/requestBody/content/${encodeURIComponent(type.replaceAll('/', '~1'))}/schema`, 'open')(value));
        const answer = await call(id, exampleOf(id).target, {headers: {'Content-Type': type}, body: local(JSON.stringify(value))}, id === 'createJob' ? paused : live);
        assert.ok(answer.status < 300, answer.text);
      }
    }
});

test('every file of api/examples', async () => {
  const valid = contract.validator('/components/schemas/JobSpec', 'open');
  for (const kind of ['valid', 'invalid'])
    for (const name of fs.readdirSync(path.join(api, 'examples', kind))) {
      const body = example(`${kind}/${name}`);
      const answer = await call('createJob', '/v1/jobs', {headers: json, body}, paused);
      if (kind === 'valid') {
        assert.ok(valid(JSON.parse(body)), `${name}: ${JSON.stringify(valid.errors)}`);
        assert.equal(answer.status, 202, `${name}: ${answer.text}`);
      } else
        assert.equal(JSON.parse(answer.text).code, name.split('.')[0], `${name}: ${answer.text}`);
    }
});

test('jobs', async () => {
  const job = await finished();
  assert.equal(job.state, 'succeeded', JSON.stringify(job.error));
  for (const accept of ['application/json', 'text/plain']) {
    await call('getJob', `/v1/jobs/${job.id}?wait=1`, {headers: {Accept: accept}});
    await call('listJobs', '/v1/jobs?state=succeeded&kind=build&limit=1', {headers: {Accept: accept}});
  }
  const page = JSON.parse((await call('listJobs', '/v1/jobs?limit=1')).text);
  assert.equal(page.items.length, 1);
  assert.equal((await call('cancelJob', `/v1/jobs/${job.id}/cancel`, {headers: json, body: '{}'})).status, 200);
  assert.equal((await call('retryJob', `/v1/jobs/${job.id}/retry`, {headers: {Prefer: 'wait=30'}})).status, 200);
  assert.equal((await call('retryJob', `/v1/jobs/${job.id}/retry`, {headers: json, body: '{}'})).status, 202);
  const failed = JSON.parse((await post({...small, base: `${registry}/none:1`}, {Prefer: 'wait=30'})).text);
  assert.equal(failed.error.code, 'image-not-found');
  const waiting = JSON.parse((await post(small, {}, paused)).text);
  assert.equal((await call('deleteJob', `/v1/jobs/${waiting.id}`, {}, paused)).status, 409);
  assert.ok([200, 202].includes((await call('cancelJob', `/v1/jobs/${waiting.id}/cancel`, {}, paused)).status));
  assert.equal((await call('deleteJob', `/v1/jobs/${job.id}`)).status, 204);
  assert.equal((await call('getJob', `/v1/jobs/${job.id}`)).status, 404);
  const key = {'Idempotency-Key': 'contract'};
  assert.equal((await post(small, key)).status, 202);
  assert.equal((await post(small, key)).headers['idempotency-replayed'], 'true');
  assert.equal((await post({...small, priority: 1}, key)).status, 422);
});

test('streams: every encoding, every event by its schema', async () => {
  const job = await finished(), types = new Set();
  for (const accept of Object.keys(contract.document.components.responses.Events.content)) {
    const old = await call('listJobEvents', `/v1/jobs/${job.id}/events`, {headers: {Accept: accept}});
    assert.equal(old.headers['content-type'].split(';')[0], accept.replace('jsonl', 'x-ndjson'));
    const fresh = await post({...small, targets: [`${registry}/contract/${accept.replace(/\W/g, '')}:1`]}, {Accept: accept});
    assert.equal(fresh.status, 202);
    for (const answer of [old, fresh])
      if (accept === 'text/plain') assert.match(answer.text.trim().split('\n').at(-1), /^result: succeeded exit=0 digest=sha256:\S+ ref=\S+$/);
      else if (accept !== 'application/json') {
        const all = events(accept, answer);
        assert.equal(all.at(-1).type, 'job.finished');
        all.forEach((event) => types.add(event.type));
      }
  }
  assert.equal((await call('listJobEvents', `/v1/jobs/${job.id}/events`, {headers: {Accept: 'text/event-stream', 'Last-Event-ID': '100000'}})).status, 204);
  const known = JSON.stringify(written.components.schemas);
  for (const type of types) assert.ok(known.includes(`"${type}"`), `${type} is not in the contract`);
  const {cursor} = JSON.parse((await call('listJobs', '/v1/jobs?limit=1')).text);
  await finished();
  for (const accept of ['application/x-ndjson', 'text/event-stream'])
    await call('listEvents', `/v1/events?after=${cursor}`, {headers: {Accept: accept}, enough: (text) => text.includes('job.finished')});
});

test('events.md names the types of the contract', () => {
  const told = fs.readFileSync(path.join(api, 'events.md'), 'utf8').split('## Types')[1];
  const rows = told.split('\n').filter((line) => line.startsWith('| `')).flatMap((line) => line.split('|')[1].match(/[\w.]+/g));
  const types = [];
  for (const one of written.components.schemas.Event.oneOf) {
    const [schema] = contract.at(one);
    types.push(...(schema.properties.type.enum ?? [schema.properties.type.const]));
  }
  assert.deepEqual(rows.sort(), types.sort());
});

test('images, contexts, cache, credentials', async () => {
  const hello = Buffer.from('hello'), seen = {};
  for (const from of ['reg.example.com/team/base', undefined]) await byExample('postBlob', {ref: from}, {body: hello, headers: {'Content-Type': 'application/octet-stream'}});
  await byExample('postBlob', {}, {body: hello, headers: {'Content-Type': 'application/octet-stream', 'Transfer-Encoding': 'chunked'}});
  for (const platform of [undefined, 'linux/amd64']) {
    const manifest = await byExample('getManifest', {platform, ref: 'docker.io/library/alpine:3.20'});
    seen.type = manifest.headers['content-type'];
    seen.bytes = manifest.bytes;
  }
  const one = await byExample('getManifest', {ref: 'reg.example.com/team/app:1'});
  await byExample('putManifest', {ref: 'reg.example.com/team/app:copy'}, {body: one.bytes, headers: {'Content-Type': one.headers['content-type']}});
  const context = fs.readFileSync(process.env.CONTEXT), digest = process.env.CONTEXT_DIGEST;
  for (const status of [201, 200])
    assert.equal((await byExample('putContext', {digest}, {body: context, headers: {'Content-Type': 'application/x-tar'}})).status, status);
  assert.equal((await byExample('headContext', {digest})).status, 200);
  for (const format of ['oci-archive', 'docker-archive']) await byExample('getArchive', {format});
  for (const range of [undefined, 'bytes=0-1', 'bytes=90-']) await byExample('getBlob', {Range: range ?? '', ...(range ? {} : {Range: undefined})});
  for (const body of [{}, {keep_bytes: 1 << 30}, {older_than_s: 1e6}]) await call('pruneCache', '/v1/cache/prune', {headers: json, body: JSON.stringify(body)});
});

test('every other operation, by its example', async () => {
  const ids = {id: (await finished()).id};
  // What takes away comes last.
  const left = [...contract.operations.keys()].filter((id) => ![...contract.answered.get(id) ?? []].some((status) => status < 300));
  left.sort((a, b) => (contract.operations.get(a).method === 'delete') - (contract.operations.get(b).method === 'delete'));
  for (const id of left.filter((one) => one !== 'listEvents')) {
    const given = {...ids};
    if (id === 'deleteManifest') {
      const manifest = await byExample('headManifest', {ref: 'reg.example.com/team/app:copy'});
      given.ref = `reg.example.com/team/app@${manifest.headers['docker-content-digest']}`;
    }
    const answer = await byExample(id, given);
    assert.ok(answer.status < 300, `${id}: ${answer.status} ${answer.text}`);
  }
});

test('every operation was answered as it promises', () => {
  for (const id of contract.operations.keys())
    assert.ok([...contract.answered.get(id) ?? []].some((status) => status < 300), `${id} was not exercised`);
});

// A member that is null counts as one that is not there.
function withoutNulls(value) {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (!value || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== null).map(([key, item]) => [key, withoutNulls(item)]));
}

function problem(answer, what) {
  assert.ok(answer.status >= 400 && answer.status < 500, `${what}: ${answer.status} ${answer.text.slice(0, 500)}`);
  assert.match(answer.headers['content-type'], /^application\/problem\+json/, what);
  assert.equal(JSON.parse(answer.text).status, answer.status);
}

test('what is not there, what is not allowed', async () => {
  const none = '01JDXQ4M0R5T6V7W8X9Y0Z1A2B';
  for (const [id, operation] of contract.operations)
    if (operation.path.includes('{')) {
      const given = {id: none, code: 'nonsense', digest: 'sha256:' + 'a'.repeat(64)};
      const target = operation.path.replace(/\{(\w+)\}/, (_, name) => given[name]);
      const answer = await call(id, target, operation.method === 'put' ? {body: 'x', headers: {'Content-Type': 'application/x-tar'}} : {});
      if (operation.method !== 'head') problem(answer, target);
    }
  for (const item of Object.keys(written.paths)) {
    const answer = await send(live, 'PATCH', item.replace(/\{\w+\}/, 'x'), {});
    assert.equal(answer.status, 405, item);
    problem(answer, item);
  }
});

test('parameters out of their bounds', async () => {
  const wild = fc.oneof(fc.string({maxLength: 30}), fc.constantFrom('-1', '0', '1.5', '99999999999999999999', 'true', '', '%00', '\u0000'));
  const ids = {id: JSON.parse((await post(small, {}, paused)).text).id, code: 'not-found'};
  const cases = [...contract.operations].flatMap(([id, operation]) => (operation.parameters ?? []).map((one) => [id, contract.at(one)[0]]))
    .filter(([id, one]) => contract.operations.get(id).method === 'get' && id !== 'listEvents' && !['ref', 'registry', 'wait'].includes(one.name) && one.in === 'query');
  await fc.assert(fc.asyncProperty(fc.constantFrom(...cases), wild, async ([id, parameter], value) => {
    const target = contract.operations.get(id).path.replace(/\{(\w+)\}/, (_, name) => ids[name] ?? 'x');
    const ref = (contract.operations.get(id).parameters ?? []).some((one) => contract.at(one)[0].name === 'ref') ? `ref=${registry}/team/app:1&` : '';
    const follow = id === 'listJobEvents' && parameter.name !== 'follow' ? 'follow=0&' : '';
    const answer = await send(paused, 'GET', `${target}?${ref}${follow}${parameter.name}=${encodeURIComponent(value)}`, {enough: () => true});
    answer.cut = true;
    contract.judge(id, answer);
  }), {seed, numRuns: runs / 5, interruptAfterTimeLimit: LIMIT_MS});
});

test('bodies that are hopeless', async () => {
  for (const body of HOPELESS) {
    const answer = await call('createJob', '/v1/jobs', {headers: json, body}, paused);
    problem(answer, String(body).slice(0, 100));
  }
  for (const type of ['text/plain', 'application/xml', 'multipart/form-data; boundary=x', ''])
    assert.equal((await call('createJob', '/v1/jobs', {headers: {'Content-Type': type}, body: JSON.stringify(small)}, paused)).status, 415);
});

test('bodies made from the schema, broken and whole', async (t) => {
  const {id: waiting} = JSON.parse((await post(small, {}, paused)).text);
  const counts = {};
  for (const [id, operation] of contract.operations) {
    const media = operation.requestBody?.content?.['application/json'];
    if (!media) continue;
    const fits = contract.validator(`${operation.pointer}/requestBody/content/application~1json/schema`, 'open');
    const target = operation.path.replace('{id}', waiting);
    const count = counts[id] = {};
    // A whole body would be obeyed: only jobs that do not start may be.
    const bodies = id === 'createJob' ? fc.oneof({weight: 1, arbitrary: arbitrary(contract, media.schema)}, {weight: 3, arbitrary: broken(contract, media.schema)})
      : broken(contract, media.schema).filter((body) => !fits(body));
    await fc.assert(fc.asyncProperty(bodies, async (body) => {
      const answer = await call(id, target, {headers: json, body: local(JSON.stringify(body))}, paused);
      count[answer.status] = (count[answer.status] ?? 0) + 1;
      if (!fits(body) && !fits(withoutNulls(body))) problem(answer, JSON.stringify(body));
    }), {seed, numRuns: id === 'createJob' ? runs : runs / 20, interruptAfterTimeLimit: LIMIT_MS});
  }
  t.diagnostic(JSON.stringify(counts));
  assert.ok(counts.createJob['202'] > 0 && counts.createJob['400'] > 100, JSON.stringify(counts));
});
