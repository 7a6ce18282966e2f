#!/usr/bin/env node
// Tries Vercel's AI SDK with the server, by the SDK's provider for servers that are compatible with OpenAI:
// vercel_ai.mjs URL MODEL. Prints TAP. If the server has a key, it is in OPENAI_API_KEY.
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, embedMany, generateText, jsonSchema, Output, stepCountIs, streamText, tool } from 'ai';

const [url, model] = process.argv.slice(2);
const tiny = model === 'demo';
// the tiny model of the tests needs help to end its reasoning, and to write JSON without empty lines
const help = { seed: 7, ...(tiny ? { logit_bias: [['<unk>', 11], ['\n', false], ['\n\n', false], [' ', false]] } : {}) };
const provider = (more) =>
  createOpenAICompatible({
    name: 'mini-cllm',
    baseURL: url + '/v1',
    apiKey: process.env.OPENAI_API_KEY ?? 'none',
    includeUsage: true,
    supportsStructuredOutputs: true,
    transformRequestBody: (body) => ({ ...body, ...more }),
  });
const plain = provider({ seed: 7 })(model), helped = provider(help)(model);
const schema = jsonSchema({ type: 'object', properties: { city: { type: 'string', enum: ['Paris', 'Rome'] } }, required: ['city'], additionalProperties: false });
const common = { prompt: 'Once upon a time', maxRetries: 0 };

let count = 0, failed = 0;
function check(name, condition, detail) {
  console.log(`${condition ? 'ok' : 'not ok'} ${++count} - ${name}`);
  if (condition) return;
  failed++;
  console.log('# ' + String(detail instanceof Error ? detail : JSON.stringify(detail)).slice(0, 600).replaceAll('\n', '\n# '));
}
const skip = (name, reason) => console.log(`ok ${++count} - ${name} # SKIP ${reason}`);

const answer = await generateText({ model: plain, ...common, maxOutputTokens: 12 });
check('generateText', answer.text && answer.usage.totalTokens === answer.usage.inputTokens + answer.usage.outputTokens && answer.response.modelId === model, answer.usage);
const stream = streamText({ model: plain, ...common, maxOutputTokens: 12 });
const pieces = [];
for await (const piece of stream.textStream) pieces.push(piece);
check('streamText: the same text, in pieces', pieces.join('') === answer.text && pieces.length > 1, pieces);
check('streamText: usage', (await stream.usage).outputTokens === answer.usage.outputTokens && (await stream.finishReason) === answer.finishReason, await stream.usage);

const structured = await generateText({ model: helped, ...common, maxOutputTokens: 600, output: Output.object({ schema }) });
check('an object by its schema', ['Paris', 'Rome'].includes(structured.output.city), structured.text);

const weather = tool({ description: 'Tells the weather', inputSchema: schema, execute: async ({ city }) => `sunny in ${city}` });
const withTools = { ...common, tools: { weather }, maxOutputTokens: 600 };
const tokens = (await generateText({ model: plain, ...withTools, maxOutputTokens: 1 })).usage.inputTokens;
if (tokens > answer.usage.inputTokens) {
  const forced = await generateText({ model: provider({ ...help, parallel_tool_calls: false })(model), ...withTools, toolChoice: 'required', stopWhen: stepCountIs(2) });
  const results = forced.steps.map((s) => s.toolResults[0]?.output);
  check('tools: called, executed, and called again with the result', forced.steps.length === 2 && results.every((r) => /^sunny in (Paris|Rome)$/.test(r)), results);
  const flow = streamText({ model: provider({ ...help, parallel_tool_calls: false })(model), ...withTools, toolChoice: { type: 'tool', toolName: 'weather' } });
  const parts = [];
  for await (const part of flow.fullStream) parts.push(part);
  const ends = parts.filter((p) => p.type === 'tool-call');
  check('tools: in a stream', ends.length === 1 && ['Paris', 'Rome'].includes(ends[0].input.city) && parts.some((p) => p.type === 'tool-input-delta') && (await flow.finishReason) === 'tool-calls', parts);
} else skip('tools', 'the template has no tools');

const { embeddings } = await embedMany({ model: provider({}).textEmbeddingModel(model), values: ['a dog', 'a cat'], maxRetries: 0 });
check('embedMany', embeddings.length === 2 && embeddings[0].length === embeddings[1].length && embeddings[0].some((v, i) => v !== embeddings[1][i]));

async function cancelled() {
  const page = await (await fetch(url + '/metrics', { headers: { Authorization: `Bearer ${process.env.OPENAI_API_KEY ?? 'none'}` } })).text();
  return Number(page.match(/^\w+:requests_cancelled_total (\S+)/m)[1]);
}
const before = await cancelled(), controller = new AbortController();
const endless = streamText({ model: provider({ ignore_eos: true, logit_bias: tiny ? [['</s>', false]] : [] })(model), ...common, abortSignal: controller.signal, onError: () => {} });
try {
  for await (const _ of endless.textStream) controller.abort();
} catch (e) {
  if (e.name !== 'AbortError') throw e;
}
for (let i = 0; i < 200 && (await cancelled()) === before; i++) await new Promise((wake) => setTimeout(wake, 50));
check('abort: the server stops', (await cancelled()) === before + 1);

async function failure(options) {
  try {
    return await generateText({ model: plain, ...common, ...options });
  } catch (e) {
    return e;
  }
}
let e = await failure({ prompt: 'word '.repeat(200000) });
check('too long: an APICallError that is not tried again', APICallError.isInstance(e) && e.statusCode === 400 && !e.isRetryable && e.message.includes('exceeds the available context size') && JSON.parse(e.responseBody).error.code === 'context_length_exceeded', e);
e = await failure({ topP: 3 });
check('a wrong field', APICallError.isInstance(e) && e.statusCode === 400 && e.message.includes('top_p'), e);
console.log(`1..${count}`);
process.exit(failed ? 1 : 0);
