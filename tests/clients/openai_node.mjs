#!/usr/bin/env node
// Tries OpenAI's SDK for JavaScript with the server: openai_node.mjs URL MODEL. Prints TAP. If the server has a key, it
// is in OPENAI_API_KEY.
import OpenAI from 'openai';

const [url, model] = process.argv.slice(2);
const key = process.env.OPENAI_API_KEY ?? 'none';
const client = new OpenAI({ baseURL: url + '/v1', apiKey: key, maxRetries: 0, timeout: 120000 });
const question = [{ role: 'user', content: 'Once upon a time' }];
const schema = { type: 'object', properties: { city: { type: 'string', enum: ['Paris', 'Rome'] } }, required: ['city'], additionalProperties: false };
const weather = { name: 'weather', description: 'Tells the weather', parameters: schema, strict: true };
// the tiny model of the tests needs help to end its reasoning, and to write JSON without empty lines
const help = model === 'demo' ? { seed: 7, logit_bias: [['<unk>', 11], ['\n', false], ['\n\n', false], [' ', false]] } : { seed: 7 };
const common = { model, messages: question, seed: 7, max_tokens: 12 };

let count = 0, failed = 0;
function check(name, condition, detail) {
  console.log(`${condition ? 'ok' : 'not ok'} ${++count} - ${name}`);
  if (condition) return;
  failed++;
  console.log('# ' + String(detail instanceof Error ? detail : JSON.stringify(detail)).slice(0, 600).replaceAll('\n', '\n# '));
}
const skip = (name, reason) => console.log(`ok ${++count} - ${name} # SKIP ${reason}`);
const isCity = (text) => ['Paris', 'Rome'].includes(JSON.parse(text).city);
async function failure(ask) {
  try {
    return await ask();
  } catch (e) {
    return e;
  }
}
async function collect(stream) {
  const all = [];
  for await (const one of stream) all.push(one);
  return all;
}

// ---- chat and stream
const answer = await client.chat.completions.create(common);
const text = answer.choices[0].message.content;
check('chat: an answer', text && answer.usage.total_tokens === answer.usage.prompt_tokens + answer.usage.completion_tokens, answer);
const chunks = await collect(await client.chat.completions.create({ ...common, stream: true, stream_options: { include_usage: true } }));
check('stream: the same text, in pieces, and usage', chunks.map((c) => c.choices[0]?.delta.content ?? '').join('') === text && chunks.length > 3 && chunks.at(-1).usage.completion_tokens === answer.usage.completion_tokens, chunks);
const three = await Promise.all([1, 2, 3].map(() => client.chat.completions.create(common)));
check('three at once: the same text each', three.every((a) => a.choices[0].message.content === text), three);
const models = await collect(client.models.list());
check('models: listed, and by name', models[0].id === model && (await client.models.retrieve(model)).id === model, models);

// ---- structure and tools
const structured = await client.chat.completions.parse({ model, messages: question, max_tokens: 600, response_format: { type: 'json_schema', json_schema: { name: 'city', strict: true, schema } }, ...help });
check('JSON schema', isCity(structured.choices[0].message.content), structured);
const takesTools = (await client.chat.completions.create({ ...common, max_tokens: 1, tools: [{ type: 'function', function: weather }] })).usage.prompt_tokens > answer.usage.prompt_tokens;
if (takesTools) {
  const wanted = { model, messages: question, tools: [{ type: 'function', function: weather }], tool_choice: 'required', parallel_tool_calls: false, max_tokens: 600, ...help };
  const called = (await client.chat.completions.create(wanted)).choices[0];
  check('tools: one call by its schema', called.finish_reason === 'tool_calls' && called.message.tool_calls.length === 1 && isCity(called.message.tool_calls[0].function.arguments), called);
  const runner = client.chat.completions.stream(wanted);
  const pieces = [];
  runner.on('tool_calls.function.arguments.delta', (e) => pieces.push(e.arguments_delta));
  const final = (await runner.finalChatCompletion()).choices[0];
  check('tools: arguments in a stream', final.message.tool_calls.length === 1 && pieces.join('') === final.message.tool_calls[0].function.arguments && isCity(pieces.join('')) && final.finish_reason === 'tool_calls', final);
  const talk = [...question, called.message, { role: 'tool', tool_call_id: called.message.tool_calls[0].id, content: 'sunny' }];
  const after = await client.chat.completions.create({ ...wanted, messages: talk, tool_choice: 'auto', max_tokens: 12 });
  check('tools: the talk goes on with the result', after.usage.prompt_tokens_details.cached_tokens > 0, after);
} else skip('tools', 'the template has no tools');

// ---- embeddings
const vectors = (await client.embeddings.create({ model, input: ['a dog', 'a cat'] })).data; // the SDK asks for base64
const floats = (await client.embeddings.create({ model, input: 'a dog', encoding_format: 'float' })).data[0].embedding;
check('embeddings: base64 and floats agree', vectors.length === 2 && floats.length > 0 && floats.every((v, i) => Math.abs(v - vectors[0].embedding[i]) < 1e-6));

// ---- responses
const told = { model, input: 'Once upon a time', seed: 7, max_output_tokens: 12 };
const whole = await client.responses.create(told);
check('responses: an answer', whole.output_text === text && whole.usage.output_tokens === answer.usage.completion_tokens, whole);
const events = await collect(await client.responses.create({ ...told, stream: true }));
check('responses: a stream, the same text', events.filter((e) => e.type === 'response.output_text.delta').map((e) => e.delta).join('') === text && events.every((e, i) => e.sequence_number === i), events.at(-1));
const parsed = await client.responses.parse({ ...told, ...help, max_output_tokens: 600, text: { format: { type: 'json_schema', name: 'city', strict: true, schema } } });
check('responses: JSON schema', isCity(parsed.output_text), parsed);
if (takesTools) {
  const wanted = { model, tools: [{ type: 'function', ...weather }], tool_choice: 'required', parallel_tool_calls: false, max_output_tokens: 600, ...help };
  const final = await client.responses.stream({ ...wanted, input: question }).finalResponse();
  const calls = final.output.filter((i) => i.type === 'function_call');
  check('responses: a call in a stream', calls.length === 1 && calls[0].name === 'weather' && isCity(calls[0].arguments), final);
  const input = [...question, ...final.output.map(({ parsed_arguments, ...item }) => item), { type: 'function_call_output', call_id: calls[0].call_id, output: 'sunny' }];
  const after = await client.responses.create({ ...wanted, input, tool_choice: 'auto', max_output_tokens: 12 });
  check('responses: the talk goes on with the result', after.usage.input_tokens_details.cached_tokens >= final.usage.input_tokens - 1, after);
} else skip('responses: tools', 'the template has no tools');

// ---- abort
async function metric(name) {
  const page = await (await fetch(url + '/metrics', { headers: { Authorization: `Bearer ${key}` } })).text();
  return Number(page.match(new RegExp(`^\\w+:${name} (\\S+)`, 'm'))[1]);
}
const before = await metric('requests_cancelled_total');
for await (const _ of await client.chat.completions.create({ model, messages: question, stream: true, ignore_eos: true, logit_bias: model === 'demo' ? [['</s>', false]] : [] })) break; // which aborts
for (let i = 0; i < 200 && (await metric('requests_cancelled_total')) === before; i++) await new Promise((wake) => setTimeout(wake, 50));
check('abort: the server stops', (await metric('requests_cancelled_total')) === before + 1 && (await metric('requests_processing')) === 0);

// ---- errors
const long = 'word '.repeat(200000);
let e = await failure(() => client.chat.completions.create({ model, messages: [{ role: 'user', content: long }] }));
check('too long: a BadRequestError with its code', e instanceof OpenAI.BadRequestError && e.code === 'context_length_exceeded' && e.error.n_prompt_tokens > e.error.n_ctx, e);
e = await failure(() => client.chat.completions.create({ ...common, temperature: 'hot' }));
check('a wrong field: its name', e instanceof OpenAI.BadRequestError && e.param === 'temperature' && e.requestID, e);
e = await failure(() => client.responses.create({ ...told, previous_response_id: 'resp_1' }));
check('responses: previous_response_id', e instanceof OpenAI.BadRequestError && e.param === 'previous_response_id', e);
const last = (await collect(await client.responses.create({ model, input: long, stream: true }))).at(-1);
check('responses, too long in a stream: response.failed', last.type === 'response.failed' && last.response.error.code === 'context_length_exceeded', last);
e = await failure(() => client.batches.list());
check('an endpoint that is not there', e instanceof OpenAI.NotFoundError, e);
console.log(`1..${count}`);
process.exit(failed ? 1 : 0);
