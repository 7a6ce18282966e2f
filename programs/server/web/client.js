/* Talks to the server that the page came from. All URLs are relative, so that the server may be behind a prefix. */

/* An error that says in plain words what went wrong, and what to do about it. */
export class Failure extends Error {
  constructor(message, advice, wantsKey = false) {
    super(message);
    this.advice = advice;
    this.wantsKey = wantsKey;
  }
}

const unreachable = () => new Failure('The server does not answer.',
  'Check that mini-cllm serve is running and that this device can reach it, then try again.');

const cutOff = () => new Failure('The connection broke before the answer was complete.',
  'The answer so far is kept. Try again for a whole answer.');

function advice(status, retryAfter) {
  if (status === 401 || status === 403) return 'Enter the server\u2019s API key in the settings, then try again.';
  if (status === 400) return 'If the conversation is too long, begin a new one or edit an earlier question. Otherwise look at the settings.';
  if (status === 404) return 'Choose another model above, or reload the page.';
  if (status === 429 || status === 503) return `The server is busy or still loading. Try again in ${retryAfter || 'some'} seconds.`;
  return 'Try again. If it happens again, look at what the server printed.';
}

async function ask(path, key, options = {}) {
  const headers = { ...options.headers };
  if (key) headers.Authorization = `Bearer ${key}`;
  let reply;
  try {
    reply = await fetch(path, { ...options, headers });
  } catch (error) {
    throw error.name === 'AbortError' ? error : unreachable();
  }
  if (reply.ok) return reply;
  const told = await reply.json().catch(() => null);
  const message = told?.error?.message ?? `The server answered with status ${reply.status}.`;
  throw new Failure(message, advice(reply.status, reply.headers.get('Retry-After')), reply.status === 401 || reply.status === 403);
}

export const models = async (key) => (await (await ask('v1/models', key)).json()).data ?? [];
export const properties = async (key) => (await ask('props', key)).json();

/* An error within a stream has a type instead of a status. */
const statusOf = { invalid_request_error: 400, unavailable_error: 503 };

/* The chunks of an answer, as they come. */
export async function* complete(request, key, signal) {
  const reply = await ask('v1/chat/completions', key, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ ...request, stream: true, stream_options: { include_usage: true } }),
    signal,
  });
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) throw cutOff();
      const lines = (rest + value).split('\n');
      rest = lines.pop();
      for (const line of lines) {
        if (!line.startsWith('data:')) continue;
        const data = line.slice(5).trim();
        if (data === '[DONE]') return;
        const chunk = JSON.parse(data);
        if (chunk.error) throw new Failure(chunk.error.message ?? 'The server gave up.', advice(statusOf[chunk.error.type]));
        yield chunk;
      }
    }
  } catch (error) {
    throw error instanceof Failure || error.name === 'AbortError' ? error : cutOff();
  } finally {
    reader.cancel().catch(() => {});
  }
}
