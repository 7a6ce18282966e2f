#!/usr/bin/env node
// Tries Anthropic's SDK for JavaScript with the server: anthropic_node.mjs URL MODEL. Prints TAP. If the server has a
// key, it is in ANTHROPIC_API_KEY.
import Anthropic from '@anthropic-ai/sdk';

const [url, model] = process.argv.slice(2);
const key = process.env.ANTHROPIC_API_KEY ?? 'none';
const client = new Anthropic({ baseURL: url, apiKey: key, maxRetries: 0, timeout: 120000 });
const question = [{ role: 'user', content: 'Once upon a time' }];
const schema = { type: 'object', properties: { city: { type: 'string', enum: ['Paris', 'Rome'] } }, required: ['city'], additionalProperties: false };
const weather = { name: 'weather', description: 'Tells the weather', input_schema: schema };
// the tiny model of the tests needs help to end its thinking, and to write JSON without empty lines
const help = model === 'demo' ? { seed: 7, logit_bias: [['<unk>', 11], ['\n', false], ['\n\n', false], [' ', false]] } : { seed: 7 };
const common = { model, messages: question, seed: 7 };

let count = 0, failed = 0;
function check(name, condition, detail) {
  console.log(`${condition ? 'ok' : 'not ok'} ${++count} - ${name}`);
  if (condition) return;
  failed++;
  console.log('# ' + String(detail instanceof Error ? detail : JSON.stringify(detail)).slice(0, 600).replaceAll('\n', '\n# '));
}
const skip = (name, reason) => console.log(`ok ${++count} - ${name} # SKIP ${reason}`);
const tokens = async (more) => (await client.messages.countTokens({ model, messages: question, ...more })).input_tokens;
const texts = (message) => message.content.filter((b) => b.type === 'text').map((b) => b.text).join('');
const sameJson = (a, b) => JSON.stringify(a) === JSON.stringify(b);
async function failure(more) {
  try {
    return await client.messages.create({ max_tokens: 5, ...common, ...more });
  } catch (e) {
    return e;
  }
}

// ---- chat and stream
const { data: answer, request_id } = await client.messages.create({ max_tokens: 12, ...common }).withResponse();
const usage = answer.usage;
check('chat: a message', answer.type === 'message' && ['max_tokens', 'end_turn'].includes(answer.stop_reason) && answer.content.length > 0, answer);
check('chat: usage', usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens === (await tokens()) && usage.output_tokens > 0, answer);
check('chat: the id of the request', Boolean(request_id), request_id);
const pieces = [];
const stream = client.messages.stream({ max_tokens: 12, ...common }).on('text', (text) => pieces.push(text));
const final = await stream.finalMessage();
check('stream: the same text, in pieces', pieces.join('') === texts(answer) && pieces.length > 1 && sameJson(final.content, answer.content), [pieces, answer]);
check('stream: usage of the end', final.usage.output_tokens === usage.output_tokens && final.stop_reason === answer.stop_reason, final);
const kinds = [];
for await (const event of await client.messages.create({ max_tokens: 12, stream: true, ...common })) kinds.push(event.type);
check('stream: raw events', kinds[0] === 'message_start' && kinds.at(-2) === 'message_delta' && kinds.at(-1) === 'message_stop', kinds);
const three = await Promise.all([1, 2, 3].map(() => client.messages.create({ max_tokens: 12, ...common })));
check('three at once: the same text each', three.every((a) => sameJson(a.content, answer.content)), three);

const models = [];
for await (const m of client.models.list()) models.push(m);
check('models: listed, and by name', models[0].display_name === model && (await client.models.retrieve(model)).created_at, models);

// ---- count_tokens
check('count_tokens: more text is more tokens', (await tokens()) < (await tokens({ messages: [...question, ...question] })));

// ---- tools
if ((await tokens({ tools: [weather] })) > (await tokens())) {
  const wanted = { model, messages: question, tools: [weather], max_tokens: 600, ...help };
  const called = await client.messages.create({ tool_choice: { type: 'any', disable_parallel_tool_use: true }, ...wanted });
  const calls = called.content.filter((b) => b.type === 'tool_use');
  check('tools: one call by its schema', called.stop_reason === 'tool_use' && calls.length === 1 && calls[0].name === 'weather' && ['Paris', 'Rome'].includes(calls[0].input.city), called);
  const parts = [];
  const streamed = await client.messages
    .stream({ tool_choice: { type: 'tool', name: 'weather', disable_parallel_tool_use: true }, ...wanted })
    .on('inputJson', (part) => parts.push(part))
    .finalMessage();
  const uses = streamed.content.filter((b) => b.type === 'tool_use');
  check('tools: arguments in a stream', uses.length === 1 && sameJson(JSON.parse(parts.join('')), uses[0].input) && streamed.stop_reason === 'tool_use', streamed);
  const results = uses.map((b) => ({ type: 'tool_result', tool_use_id: b.id, content: [{ type: 'text', text: 'sunny' }] }));
  const talk = [...question, { role: 'assistant', content: streamed.content }, { role: 'user', content: results }];
  const after = await client.messages.create({ ...wanted, messages: talk, max_tokens: 12 });
  check('tools: the talk goes on with the result, its beginning cached', after.content.length > 0 && after.usage.cache_read_input_tokens >= (await tokens({ tools: [weather] })) - 2, after);
} else skip('tools', 'the template has no tools');

// ---- thinking
const thinking = { type: 'enabled', budget_tokens: 1024 };
if ((await tokens({ thinking })) !== (await tokens({ thinking: { type: 'disabled' } }))) {
  const thoughts = [];
  const thought = await client.messages
    .stream({ model, messages: question, max_tokens: 1500, thinking, ...help })
    .on('thinking', (delta) => thoughts.push(delta))
    .finalMessage();
  check('thinking: a signed block, first', thought.content[0].type === 'thinking' && thought.content[0].thinking === thoughts.join('') && thoughts.length > 0 && thought.content[0].signature, thought);
  const follow = await client.messages.create({ model, max_tokens: 5, messages: [...question, { role: 'assistant', content: thought.content }, ...question] });
  check('thinking: goes back into the talk', follow.type === 'message', follow);
} else skip('thinking', 'the template has no variable for it');

// ---- structure
const shaped = await client.messages.create({ model, messages: question, max_tokens: 600, output_config: { format: { type: 'json_schema', schema } }, ...help });
check('output_config: JSON of a schema', ['Paris', 'Rome'].includes(JSON.parse(texts(shaped)).city), shaped);

// ---- abort
async function metric(name) {
  const text = await (await fetch(url + '/metrics', { headers: { 'x-api-key': key } })).text();
  return Number(text.match(new RegExp(`^\\w+:${name} (\\S+)`, 'm'))[1]);
}
const before = await metric('requests_cancelled_total');
const endless = client.messages.stream({ model, messages: question, max_tokens: 100000, logit_bias: [['</s>', false]] });
let aborted = null;
try {
  for await (const event of endless) if (event.type === 'content_block_delta') endless.abort();
} catch (e) {
  aborted = e;
}
const until = Date.now() + 10000;
while ((await metric('requests_cancelled_total')) === before && Date.now() < until) await new Promise((resolve) => setTimeout(resolve, 50));
check('abort: the server stops', aborted instanceof Anthropic.APIUserAbortError && (await metric('requests_cancelled_total')) === before + 1 && (await metric('requests_processing')) === 0, aborted);

// ---- errors
let e = await failure({ messages: [{ role: 'user', content: 'word '.repeat(200000) }] });
check('too long: a BadRequestError with the words', e instanceof Anthropic.BadRequestError && /prompt is too long: \d+ tokens > \d+ maximum/.test(e.message), e);
e = await failure({ temperature: 'hot' });
check('a wrong field', e instanceof Anthropic.BadRequestError && e.error.error.type === 'invalid_request_error' && e.requestID === e.error.request_id, e);
e = await failure({ messages: [{ role: 'user', content: [{ type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AAAA' } }] }] });
check('an image', e instanceof Anthropic.BadRequestError && e.message.includes('only text'), e);
try {
  await client.messages.batches.list();
  check('an endpoint that is not there', false);
} catch (e) {
  check('an endpoint that is not there', e instanceof Anthropic.NotFoundError && e.error.error.type === 'not_found_error', e);
}
console.log(`1..${count}`);
process.exit(failed ? 1 : 0);
