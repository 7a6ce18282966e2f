#!/usr/bin/env node
// Tries ollama's client for JavaScript with the server: ollama_node.mjs URL MODEL. Prints TAP. If the model's template
// cannot do something (tools, thinking), the server must refuse it as ollama does. With tests/support/ollama.jinja it
// can do everything.
import { Ollama } from 'ollama';

const [url, model] = process.argv.slice(2);
const key = process.env.OLLAMA_API_KEY;
const settings = { host: url, ...(key ? { headers: { Authorization: `Bearer ${key}` } } : {}) };
const client = new Ollama(settings);
const messages = [{ role: 'user', content: 'Once upon a time' }];
const options = { seed: 7, num_predict: 12 };
const common = { model, messages, options, think: false };

let count = 0, failed = 0;
function check(name, condition, detail) {
  console.log(`${condition ? 'ok' : 'not ok'} ${++count} - ${name}`);
  if (condition) return;
  failed++;
  console.log('# ' + String(detail instanceof Error ? detail : JSON.stringify(detail)).slice(0, 600).replaceAll('\n', '\n# '));
}
async function failure(call) {
  try {
    return await call();
  } catch (e) {
    return e;
  }
}
async function all(stream) {
  const parts = [];
  for await (const part of await stream) parts.push(part);
  return parts;
}
const refused = (e, status, words) => e instanceof Error && e.status_code === status && e.message.includes(words);

// ---- models
const { models } = await client.list();
check('list: the model, with a tag', models.some((m) => m.name === model || m.name.split(':')[0] === model), models);
const shown = await client.show({ model });
const context = shown.model_info[shown.model_info['general.architecture'] + '.context_length'];
check('show: capabilities, details and the context', shown.capabilities.includes('completion') && shown.details.format === 'gguf' && context > 0, shown.capabilities);
const canThink = shown.capabilities.includes('thinking'), canCall = shown.capabilities.includes('tools');
check('version', /^\d+\.\d+\.\d+$/.test((await client.version()).version));

// ---- chat
const answer = await client.chat(common);
const text = answer.message.content;
check('chat: an answer', answer.message.role === 'assistant' && text && answer.done && ['stop', 'length'].includes(answer.done_reason), answer);
check('chat: durations and counts', [answer.total_duration, answer.load_duration, answer.prompt_eval_count, answer.prompt_eval_duration, answer.eval_count, answer.eval_duration].every((n) => Number.isInteger(n) && n > 0), answer);
let parts = await all(client.chat({ ...common, stream: true }));
check('chat: a stream has the same text', parts.map((p) => p.message.content).join('') === text && parts.at(-1).done && parts.filter((p) => p.done).length === 1, parts);
check('chat: its end has the counts', parts.at(-1).eval_count === answer.eval_count && parts.at(-1).done_reason === answer.done_reason, parts.at(-1));
const running = (await client.ps()).models[0];
check('ps: size, and when it is unloaded', running.size > 0 && new Date(running.expires_at) > new Date() && running.context_length > 0, running);
const scored = await client.chat({ ...common, logprobs: true, top_logprobs: 2 });
check('chat: log probabilities', scored.logprobs.length > 0 && scored.logprobs.every((l) => l.logprob <= 0 && l.top_logprobs.length === 2), scored);

// ---- form
const schema = { type: 'object', properties: { name: { enum: ['Ann', 'Bob'] }, age: { type: 'integer', minimum: 1, maximum: 9 } }, required: ['name', 'age'], additionalProperties: false };
const said = JSON.parse((await client.chat({ ...common, format: schema, options: { seed: 7 } })).message.content);
check('chat: format with a schema', Object.keys(said).join() === 'name,age' && ['Ann', 'Bob'].includes(said.name) && said.age >= 1 && said.age <= 9, said);

// ---- think
const thought = await failure(() => client.chat({ ...common, think: true }));
if (canThink) {
  check('think: the reasoning comes by itself', thought.message.thinking, thought);
  parts = await all(client.chat({ ...common, think: 'low', stream: true }));
  check('think: in a stream', parts.map((p) => p.message.thinking ?? '').join(''), parts);
} else {
  check('think: refused where the model cannot', refused(thought, 400, 'does not support thinking'), thought);
}

// ---- tools
const tools = [{ type: 'function', function: { name: 'get_weather', description: 'Tells the weather', parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] } } }];
const call = {
  type: 'object', required: ['name', 'parameters'], additionalProperties: false,
  properties: { name: { const: 'get_weather' }, parameters: { type: 'object', properties: { city: { enum: ['Rome'] } }, required: ['city'], additionalProperties: false } },
};
const called = await failure(() => client.chat({ ...common, tools, format: call, options: { seed: 7 } }));
if (canCall) {
  const calls = called.message.tool_calls ?? [];
  if (calls.length) // templates whose calls are such JSON
    check('tools: a call, with its arguments', calls.length === 1 && calls[0].function.name === 'get_weather' && calls[0].function.arguments.city === 'Rome', called);
  else check('tools: an answer in the form that was asked for', JSON.parse(called.message.content).name === 'get_weather', called);
  parts = await all(client.chat({ ...common, tools, format: call, stream: true, options: { seed: 7 } }));
  check('tools: as many calls in a stream', parts.flatMap((p) => p.message.tool_calls ?? []).length === calls.length, parts);
  const history = [...messages, { role: 'assistant', content: '', tool_calls: [{ function: { name: 'get_weather', arguments: { city: 'Rome' } } }] }, { role: 'tool', tool_name: 'get_weather', content: '11 degrees' }];
  const result = await client.chat({ ...common, messages: history, tools });
  check('tools: a result goes back', result.done && result.prompt_eval_count > answer.prompt_eval_count, result);
} else {
  check('tools: refused where the model cannot', refused(called, 400, 'does not support tools'), called);
}

// ---- generate
const prompt = { model, prompt: 'Once upon a time', options, think: false };
const whole = await client.generate(prompt);
check('generate: the same as a chat', whole.response === text && whole.context.length > 0, whole);
parts = await all(client.generate({ ...prompt, stream: true }));
check('generate: a stream', parts.map((p) => p.response).join('') === text && parts.at(-1).done, parts.at(-1));

// ---- embed
const vectors = await client.embed({ model, input: ['a dog', 'a cat'] });
check('embed: two vectors of length 1', vectors.embeddings.length === 2 && vectors.embeddings.every((v) => Math.abs(v.reduce((sum, x) => sum + x * x, 0) - 1) < 1e-3), vectors.prompt_eval_count);
check('embeddings: the old form', JSON.stringify((await client.embeddings({ model, prompt: 'a dog' })).embedding) === JSON.stringify(vectors.embeddings[0]));

// ---- abort
const other = new Ollama(settings);
let aborted = null;
try {
  for await (const part of await other.chat({ ...common, stream: true, options: { num_predict: -1 } })) if (part) other.abort();
} catch (e) {
  aborted = e;
}
check('abort: the stream ends', aborted?.name === 'AbortError', aborted);
check('abort: the next request is answered', (await client.chat(common)).message.content === text);
const several = await Promise.all(Array.from({ length: 6 }, () => client.chat(common)));
check('six at a time have the same text', several.every((a) => a.message.content === text));

// ---- errors
let wrong = await failure(() => client.chat({ ...common, options: { top_p: 3 } }));
check('an option out of range', refused(wrong, 400, 'top_p'), wrong);
wrong = await failure(() => client.chat({ ...common, messages: [{ role: 'user', content: 'word '.repeat(3 * running.context_length) }] }));
check('a prompt that is too long', refused(wrong, 400, 'exceeds the available context size'), wrong);
wrong = await failure(() => client.chat({ ...common, messages: [{ role: 'user', content: 'What is it?', images: [new Uint8Array([1, 2, 3])] }] }));
check('images', refused(wrong, 400, 'only text'), wrong);
for (const [name, made] of [['create', () => client.create({ model: 'x', from: model })], ['copy', () => client.copy({ source: model, destination: 'y' })], ['delete', () => client.delete({ model: 'no-such-model' })]]) {
  wrong = await failure(made);
  check(`${name} is refused in a sentence`, refused(wrong, 501, 'not supported'), wrong);
}
wrong = await failure(() => client.pull({ model: 'no-such-model' }));
check("pull: of a name that is not the Hub's", wrong instanceof Error && wrong.message.includes('no-such-model'), wrong);

// ---- loading
check('no prompt and keep_alive 0 unload', (await client.generate({ model, prompt: '', keep_alive: 0 })).done_reason === 'unload' && (await client.ps()).models.length === 0);
check('no messages load', (await client.chat({ model, messages: [] })).done_reason === 'load' && (await client.ps()).models.length === 1);
console.log(`1..${count}`);
process.exit(failed ? 1 : 0);
