/* A stand-in for the server: it serves programs/server/web with the policy of web_page.h, and answers as a test scripts it.
 * With `upstream`, the URL of a real server, all but the scripted answers come from there.
 *
 * A test sets `server.script`, a function from a request to one of
 *     null                                          a plain answer, or upstream's
 *     { status, error, headers }                    a refusal
 *     { text or pieces, reasoning, every, end }     a stream: a piece every `every` ms (0: many at a time), and then
 *                                                   'stop', 'length', 'cut' (no end), 'hang', or an error in the stream
 * and finds what was asked in `server.asked`. By itself, to look at the page: node tests/web/stand_in.mjs [PORT] */
import { createServer } from 'node:http';
import { readFileSync, existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const top = new URL('../../', import.meta.url);
const types = { html: 'text/html', js: 'text/javascript', css: 'text/css', svg: 'image/svg+xml', txt: 'text/plain' };

const header = readFileSync(new URL('programs/server/web_page.h', top), 'utf8');
export const policy = [...header.match(/#define WEB_PAGE_POLICY((?:.*\\\n)*.*)/)[1].matchAll(/"([^"]*)"/g)].map((match) => match[1]).join('');

export const words = (n) => Array.from({ length: n }, (_, i) => `${['the', 'small', 'engine', 'reads', 'a', 'word', 'and', 'writes'][i * 7 % 8]} `);
const plain = 'Hello. This is **the stand-in**, which says the same to everybody.\n\n```c\nint main(void) { return 0; }\n```\n';

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export async function standIn({ port = 0, upstream = '', prefix = '/' } = {}) {
  const server = createServer((request, response) => handle(request, response).catch((error) => response.destroy(error)));
  server.asked = [];
  server.aborted = 0;
  server.script = () => null;
  server.key = '';
  server.models = ['stand-in'];

  async function handle(request, response) {
    let body = '';
    for await (const part of request) body += part;
    if (!request.url.startsWith(prefix)) return reply(response, 404, { error: { message: 'outside the prefix' } });
    const path = request.url.slice(prefix.length).split('?')[0];
    const isChat = request.method === 'POST' && path === 'v1/chat/completions';
    const asked = isChat ? JSON.parse(body) : null;
    if (asked) server.asked.push(asked);
    const script = asked ? server.script(asked) : null;
    if (upstream && !script) return forward(request, response, path, body);
    const file = new URL(`programs/server/web/${path || 'index.html'}`, top);
    if (request.method === 'GET' && /^[\w.-]*$/.test(path) && path !== 'props' && existsSync(file)) {
      response.writeHead(200, { 'Content-Type': `${types[file.pathname.split('.').pop()]}; charset=utf-8`, 'Content-Security-Policy': policy,
        'X-Content-Type-Options': 'nosniff', 'Referrer-Policy': 'no-referrer', 'Cache-Control': 'no-cache' });
      return response.end(readFileSync(file));
    }
    if (server.key && request.headers.authorization !== `Bearer ${server.key}`)
      return reply(response, 401, { error: { message: 'The API key is missing or wrong.', code: 401 } });
    if (path === 'v1/models') return reply(response, 200, { object: 'list', data: server.models.map((id) => ({ id, object: 'model', meta: { n_ctx: 16384 } })) });
    if (path === 'props') return reply(response, 200, { default_generation_settings: { params: { temperature: 0.8, top_k: 40, top_p: 0.95, min_p: 0.05 } } });
    if (isChat) return stream(response, asked, script ?? { text: plain });
    reply(response, 404, { error: { message: `${path} is not here`, code: 404 } });
  }

  function reply(response, status, json, headers = {}) {
    response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
    response.end(JSON.stringify(json));
  }

  async function stream(response, asked, { status, error, headers, text = '', pieces, reasoning = [], every = 0, end = 'stop' }) {
    if (status) return reply(response, status, { error: { message: error, code: status } }, headers);
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' });
    let gone = false;
    response.on('close', () => { gone = true; });
    const send = (chunk) => response.write(`data: ${JSON.stringify({ object: 'chat.completion.chunk', model: asked.model, ...chunk })}\n\n`);
    const delta = (fields, finish_reason = null) => send({ choices: [{ index: 0, delta: fields, finish_reason }] });
    pieces ??= text.match(/[\s\S]{1,4}/g) ?? [];
    const begin = Date.now();
    delta({ role: 'assistant' });
    let n = 0;
    for (const [name, list] of [['reasoning_content', reasoning], ['content', pieces]])
      for (const piece of list) {
        if (gone) return void server.aborted++;
        delta({ [name]: piece });
        if (++n % (every < 1 ? Math.round(1 / (every || 0.01)) : 1) === 0) await pause(Math.max(1, every));
      }
    while (end === 'hang' && !gone) await pause(20);
    if (gone) return void server.aborted++;
    if (end === 'cut') return pause(100).then(() => response.destroy());
    if (end.message) {
      response.write(`data: ${JSON.stringify({ error: { param: null, code: null, ...end } })}\n\n`);
      return response.end();
    }
    delta({}, end);
    const seconds = Math.max(0.001, (Date.now() - begin) / 1000);
    send({ choices: [], usage: { prompt_tokens: 20, completion_tokens: n }, timings: { predicted_n: n, predicted_per_second: n / seconds } });
    response.end('data: [DONE]\n\n');
  }

  async function forward(request, response, path, body) {
    const abort = new AbortController();
    response.on('close', () => abort.abort());
    const headers = Object.fromEntries(['accept', 'authorization', 'content-type', 'if-none-match'].flatMap((name) =>
      (request.headers[name] ? [[name, request.headers[name]]] : [])));
    const real = await fetch(new URL(path, upstream), { method: request.method, headers, signal: abort.signal, body: body || undefined });
    const { 'content-encoding': encoding, 'content-length': length, 'transfer-encoding': transfer, ...rest } = Object.fromEntries(real.headers);
    response.writeHead(real.status, rest);
    if (real.body) for await (const part of real.body) response.write(part);
    response.end();
  }

  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  server.url = `http://127.0.0.1:${server.address().port}${prefix}`;
  return server;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const server = await standIn({ port: Number(process.argv[2] ?? 8081) });
  server.script = ({ messages }) => (messages.at(-1).content.includes('long') ? { pieces: words(2000), every: 2 } : null);
  console.log(server.url);
}
