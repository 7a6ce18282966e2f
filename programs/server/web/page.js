/* The page of `mini-cllm serve`: conversations, and the answers that the server streams into them.
 *
 * A conversation is a tree of messages. A question that was edited is a sibling of the old one; answers to one question
 * are siblings. `leaf` is the last message of the line that is shown. A conversation has the form { id, title, changed,
 * leaf, messages: [{ id, parent, role, content, reasoning, ended, ... }] }. A parent comes before its children. */
import { GrowingMarkdown } from './markdown.js';
import * as server from './client.js';
import * as store from './store.js';

const numbers = ['temperature', 'top_p', 'top_k', 'min_p', 'max_tokens', 'seed'];
const settings = store.loadSettings();
const conversations = new Map(); // by id
const running = new Map(); // the answers that are being written, by the id of their conversation
let current = null; // the conversation that is shown; null: a new one
let models = []; // names
const contexts = new Map(); // tokens in a model's context, by its name; undefined: unknown

const $ = (id) => document.getElementById(id);
const cloned = (id) => $(id).content.firstElementChild.cloneNode(true);
const log = $('log');
const question = $('question');
const fields = $('settings').querySelectorAll('[name]');

// crypto.randomUUID and navigator.clipboard are only there with https or on localhost
const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, '0')).join('');

// ------------------------------------------------------------------------------------------------ trees of messages

const find = (conversation, id) => conversation.messages.find((message) => message.id === id);
const siblings = (conversation, { parent }) => conversation.messages.filter((message) => message.parent === parent);

function lineOf(conversation, leaf = conversation.leaf) {
  const line = [];
  for (let message = find(conversation, leaf); message; message = find(conversation, message.parent)) line.unshift(message);
  return line;
}

function newestLeaf(conversation, message) {
  for (let next = message; next; next = siblings(conversation, { parent: message.id }).at(-1)) message = next;
  return message.id;
}

function add(conversation, message) {
  conversation.messages.push(message);
  conversation.leaf = message.id;
  conversation.changed = Date.now();
  return message;
}

// ---------------------------------------------------------------------------------------- stored conversations

const otherTabs = new BroadcastChannel('mini-cllm');
otherTabs.onmessage = ({ data: id }) => reload(id).catch(() => {});

async function save(conversation) {
  try {
    await store.saveConversation(conversation);
    otherTabs.postMessage(conversation.id);
  } catch (error) {
    warn(`This browser does not keep conversations: ${error.message}`, 'Export those that you need before you close the page.');
  }
}

/* Another tab has changed or deleted this conversation. */
async function reload(id) {
  if (running.has(id)) return;
  const kept = await store.loadConversation(id);
  if (kept) conversations.set(id, kept);
  else conversations.delete(id);
  if (current?.id === id) open(kept ?? null);
  else listConversations();
}

async function remove(conversation) {
  if (!confirm(`Delete “${conversation.title}”?`)) return;
  running.get(conversation.id)?.controller.abort();
  conversations.delete(conversation.id);
  if (current === conversation) open(null);
  listConversations();
  $('new').focus();
  await store.deleteConversation(conversation.id).catch(() => {});
  otherTabs.postMessage(conversation.id);
}

function exportConversations(some, name) {
  const text = JSON.stringify({ format: 'mini-cllm conversations', version: 1, conversations: some }, null, 1);
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type: 'application/json' }));
  link.download = `${name.replace(/[^\p{L}\p{N}]+/gu, '-').slice(0, 60) || 'conversation'}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

function isConversation(it) {
  const seen = new Set([null]);
  return typeof it?.title === 'string' && Array.isArray(it.messages) && it.messages.every((message) => {
    const fine = typeof message?.id === 'string' && seen.has(message.parent) && !seen.has(message.id) &&
      ['user', 'assistant'].includes(message.role) && typeof message.content === 'string' &&
      ['string', 'undefined'].includes(typeof message.reasoning) &&
      ['speed', 'tokens', 'filled', 'thought'].every((name) => ['number', 'undefined'].includes(typeof message[name]));
    seen.add(message?.id);
    return fine;
  }) && seen.has(it.leaf);
}

async function importConversations(file) {
  let some;
  try {
    some = JSON.parse(await file.text()).conversations;
    if (!some.every(isConversation)) throw new Error();
  } catch {
    return warn(`${file.name} has no conversations that this page can import.`, 'Choose a file that “Export” wrote.');
  }
  for (const one of some) {
    const conversation = { ...one, id: newId(), changed: Number(one.changed) || Date.now() };
    conversations.set(conversation.id, conversation);
    await save(conversation);
  }
  listConversations();
  say(`${some.length} imported`);
}

// ------------------------------------------------------------------------------------------------ the list

function listConversations() {
  const sorted = [...conversations.values()].sort((a, b) => b.changed - a.changed);
  $('list').replaceChildren(...sorted.map((conversation) => {
    const item = cloned('item-template');
    const button = item.querySelector('.open');
    button.textContent = conversation.title;
    button.title = conversation.title;
    if (conversation === current) button.setAttribute('aria-current', 'true');
    button.onclick = () => {
      location.hash = conversation.id;
      showDrawer(false);
    };
    item.querySelector('.rename').onclick = () => rename(conversation, item);
    item.querySelector('.export').onclick = () => exportConversations([conversation], conversation.title);
    item.querySelector('.delete').onclick = () => remove(conversation);
    return item;
  }));
}

function rename(conversation, item) {
  const input = document.createElement('input');
  input.value = conversation.title;
  input.setAttribute('aria-label', 'Title');
  item.replaceChildren(input);
  input.select();
  const end = (keep) => {
    input.onblur = null;
    if (keep && input.value.trim()) {
      conversation.title = input.value.trim();
      save(conversation);
    }
    listConversations();
    showTitle();
    document.querySelector('#list [aria-current]')?.focus();
  };
  input.onblur = () => end(true);
  input.onkeydown = (event) => {
    if (event.key === 'Enter' && !event.isComposing) end(true);
    if (event.key === 'Escape') {
      event.stopPropagation();
      end(false);
    }
  };
}

function showDrawer(shown) {
  const was = document.body.classList.contains('drawer');
  document.body.classList.toggle('drawer', shown);
  $('menu').setAttribute('aria-expanded', shown);
  if (shown) $('new').focus();
  else if (was) question.focus();
}

// ------------------------------------------------------------------------------------------------ one conversation

/* The page follows an answer as it grows, until the reader scrolls up. */
let follows = true;
let lastTop = 0;
log.addEventListener('scroll', () => {
  if (log.scrollTop < lastTop - 2) follows = false;
  else if (log.scrollHeight - log.scrollTop - log.clientHeight < 40) follows = true;
  lastTop = log.scrollTop;
});
function follow() {
  if (!follows) return;
  log.scrollTop = log.scrollHeight;
  lastTop = log.scrollTop;
}

function showTitle() {
  $('title').textContent = current?.title ?? 'New conversation';
  document.title = current ? `${current.title} · mini-cllm` : 'mini-cllm';
}

function open(conversation) {
  current = conversation;
  if (!conversation && location.hash) history.pushState(null, '', location.pathname + location.search);
  follows = true;
  show();
  listConversations();
}

/* Show the current conversation. Messages that are shown already and have not changed stay in the page. */
function show() {
  showTitle();
  const line = current ? lineOf(current) : [];
  $('welcome').hidden = line.length > 0;
  let same = 0;
  for (const article of log.children) {
    const message = line[same];
    if (article.message !== message || article.alike !== siblings(current, message).length) break;
    same++;
  }
  while (log.children.length > same) log.lastChild.remove();
  for (const message of line.slice(same)) log.append(articleOf(current, message));
  showRunning();
  follow();
}

function showRunning() {
  const runs = current !== null && running.has(current.id);
  $('send').hidden = runs;
  $('stop').hidden = !runs;
  log.setAttribute('aria-busy', runs); // a screen reader reads the answer when it is complete
}

function articleOf(conversation, message) {
  const article = cloned('message-template');
  const $$ = (selector) => article.querySelector(selector);
  const alike = siblings(conversation, message);
  const isAnswer = message.role === 'assistant';
  const run = running.get(conversation.id);
  article.message = message;
  article.alike = alike.length;
  article.className = message.role;
  $$('h2').textContent = isAnswer ? 'Answer' : 'Question';
  $$('.branches').hidden = alike.length < 2;
  $$('.which').textContent = `${alike.indexOf(message) + 1}/${alike.length}`;
  for (const [name, step] of [['.before', -1], ['.after', 1]]) {
    const sibling = alike[alike.indexOf(message) + step];
    $$(name).disabled = !sibling;
    $$(name).onclick = () => {
      if (running.has(conversation.id)) return;
      conversation.leaf = newestLeaf(conversation, sibling);
      follows = false;
      show();
      save(conversation);
    };
  }
  $$('.copy').onclick = ({ currentTarget }) => copy(message.content, currentTarget);
  $$('.edit').hidden = isAnswer;
  $$('.edit').onclick = () => edit(conversation, message, article);
  $$('.retry').onclick = $$('.again').onclick = () => retry(conversation, message);
  $$('.to-settings').onclick = openSettings;
  if (!isAnswer) {
    $$('.content').textContent = message.content;
    for (const name of ['.reasoning', '.waiting', '.failure', '.retry', '.figures']) $$(name).remove();
    return article;
  }
  if (message.reasoning) $$('.reasoning div').textContent = message.reasoning;
  const markdown = new GrowingMarkdown($$('.content'), follow);
  markdown.append(message.content);
  if (run?.message === message) run.view = { article, markdown };
  else markdown.finish();
  showState(article, message, run?.message === message);
  return article;
}

/* Show everything of an answer except its text. */
function showState(article, message, runs) {
  const $$ = (selector) => article.querySelector(selector);
  const thinks = runs && !message.content;
  article.classList.toggle('runs', runs);
  $$('.waiting').hidden = !runs || Boolean(message.content || message.reasoning);
  $$('.reasoning').hidden = !message.reasoning;
  $$('summary').textContent = thinks ? 'Thinking' : message.thought ? `Thought for ${message.thought} s` : 'Thoughts';
  $$('.tools').hidden = runs;
  if (runs) return;
  const { failure } = message;
  $$('.copy').hidden = !message.content;
  $$('.retry').hidden = Boolean(failure);
  $$('.failure').hidden = !failure;
  if (failure) {
    $$('.told').textContent = failure.message;
    $$('.advice').textContent = failure.advice;
    $$('.to-settings').hidden = !failure.wantsKey;
  }
  const figures = [];
  if (message.speed > 0) figures.push(`${message.speed.toFixed(message.speed < 100 ? 1 : 0)} tokens/s`);
  if (message.tokens > 0) figures.push(`${message.tokens} tokens`);
  if (message.filled > 0) figures.push(`${Math.round(100 * message.filled)} % of the context`);
  if (message.ended === 'length') figures.push('stopped at the limit of tokens');
  if (message.ended === 'stopped') figures.push('stopped');
  if (!message.ended) figures.push('cut off when the page was closed');
  if (models.length > 1 && message.model) figures.push(message.model);
  $$('.figures').textContent = figures.join(' · ');
}

function edit(conversation, message, article) {
  if (running.has(conversation.id)) return;
  const form = cloned('edit-template');
  const text = form.querySelector('textarea');
  const end = () => {
    form.replaceWith(article);
    article.querySelector('.edit').focus();
  };
  text.value = message.content;
  article.replaceWith(form);
  fit(text);
  text.focus();
  text.oninput = () => fit(text);
  text.onkeydown = (event) => {
    if (event.key === 'Escape') {
      event.stopPropagation();
      end();
    }
    if (sends(event)) {
      event.preventDefault();
      form.requestSubmit();
    }
  };
  form.querySelector('.cancel').onclick = end;
  form.onsubmit = (event) => {
    event.preventDefault();
    if (!text.value.trim()) return;
    form.replaceWith(article);
    answer(conversation, add(conversation, { id: newId(), parent: message.parent, role: 'user', content: text.value.trim() }));
  };
}

function retry(conversation, message) {
  if (running.has(conversation.id)) return;
  const hasMore = siblings(conversation, { parent: message.id }).length > 0;
  if (!message.content && !hasMore) conversation.messages = conversation.messages.filter((other) => other !== message);
  answer(conversation, find(conversation, message.parent));
}

// ------------------------------------------------------------------------------------------------ asking

function ask(text) {
  let conversation = current;
  if (!conversation) {
    const title = text.split('\n')[0];
    conversation = { id: newId(), title: title.length > 60 ? `${title.slice(0, 59)}…` : title, leaf: null, messages: [] };
    conversations.set(conversation.id, conversation);
    current = conversation;
    history.pushState(null, '', `#${conversation.id}`);
  }
  answer(conversation, add(conversation, { id: newId(), parent: conversation.leaf, role: 'user', content: text }));
}

/* Templates want questions and answers in turn. So an answer without text is left out, and the questions around it
   become one. */
function requestFor(conversation, last) {
  const messages = settings.system?.trim() ? [{ role: 'system', content: settings.system }] : [];
  for (const { role, content } of lineOf(conversation, last.id)) {
    if (role === 'user' && messages.at(-1)?.role === 'user') messages.at(-1).content += `\n\n${content}`;
    else if (content) messages.push({ role, content });
  }
  const request = { messages };
  if (settings.model || models[0]) request.model = models.includes(settings.model) ? settings.model : models[0];
  for (const name of numbers) if (Number.isFinite(settings[name])) request[name] = settings[name];
  return request;
}

async function answer(conversation, asked) {
  const request = requestFor(conversation, asked);
  const message = add(conversation, { id: newId(), parent: asked.id, role: 'assistant', content: '', model: request.model });
  const run = { message, controller: new AbortController(), view: null };
  running.set(conversation.id, run);
  follows = true;
  show();
  listConversations();
  save(conversation);
  say('The answer is being written');

  let begin = 0, end = 0, saved = performance.now(), pieces = 0;
  try {
    for await (const chunk of server.complete(request, settings.key, run.controller.signal)) {
      const choice = chunk.choices?.[0];
      take(run, choice?.delta ?? {});
      if (choice?.delta?.content || choice?.delta?.reasoning_content) {
        end = performance.now();
        begin ||= end;
        pieces++;
      }
      if (choice?.delta?.content && message.reasoning) message.thought ??= Math.max(1, Math.round((end - begin) / 1000));
      if (choice?.finish_reason) message.ended = choice.finish_reason;
      if (chunk.usage) {
        message.tokens = chunk.usage.completion_tokens;
        message.filled = (chunk.usage.prompt_tokens + chunk.usage.completion_tokens) / contexts.get(message.model) || 0;
      }
      if (chunk.timings?.predicted_per_second) message.speed = chunk.timings.predicted_per_second;
      if (performance.now() > saved + 2000) {
        saved = performance.now();
        save(conversation);
      }
    }
    message.ended ??= 'stop';
  } catch (error) {
    if (error.name === 'AbortError') message.ended = 'stopped';
    else {
      message.ended = 'failed';
      message.failure = { message: error.message, advice: error.advice ?? 'Reload the page and try again.', wantsKey: error.wantsKey };
    }
  }
  message.speed ??= end > begin ? 1000 * ((message.tokens ?? pieces) - 1) / (end - begin) : 0;
  conversation.changed = Date.now();
  running.delete(conversation.id);
  if (!conversations.has(conversation.id)) return; // deleted meanwhile
  if (run.view) {
    run.view.markdown.finish();
    showState(run.view.article, message, false);
  }
  if (current === conversation) {
    showRunning();
    follow();
    say(message.failure?.message ?? (message.ended === 'stopped' ? 'Stopped' : 'The answer is complete'));
  }
  listConversations();
  await save(conversation);
}

/* Add text to a message, and to the page if the message is shown there. */
function take({ message, view }, { content, reasoning_content: reasoning }) {
  const began = !message.content && !message.reasoning;
  const firstOfAnswer = !message.content && content;
  if (reasoning) {
    message.reasoning = (message.reasoning ?? '') + reasoning;
    view?.article.querySelector('.reasoning div').append(reasoning);
    requestAnimationFrame(follow);
  }
  if (content) {
    message.content += content;
    view?.markdown.append(content);
  }
  if (view && (firstOfAnswer || (began && reasoning))) showState(view.article, message, true);
}

const stop = () => current && running.get(current.id)?.controller.abort();

// ------------------------------------------------------------------------------------------------ the page around it

const say = (text) => { $('status').textContent = text; };

function warn(message, advice, wantsKey = false) {
  const banner = $('banner');
  const button = document.createElement('button');
  button.textContent = wantsKey ? 'Open settings' : 'Close';
  button.onclick = () => {
    banner.hidden = true;
    if (wantsKey) openSettings();
  };
  const text = document.createElement('p');
  text.textContent = `${message} ${advice}`;
  banner.replaceChildren(text, button);
  banner.hidden = false;
}

async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = document.createElement('textarea');
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
    button.focus();
  }
  const use = button.querySelector('use');
  use.setAttribute('href', '#i-done');
  say('Copied');
  setTimeout(() => use.setAttribute('href', '#i-copy'), 1500);
}

/* Enter sends. But while a word of Chinese or Japanese is being composed, it ends the word. On a phone it begins a new
   line. */
const sends = (event) => event.key === 'Enter' && !event.shiftKey && !event.isComposing && !matchMedia('(pointer: coarse)').matches;

function fit(textarea) {
  textarea.style.height = 'auto';
  textarea.style.height = `${textarea.scrollHeight + 2}px`;
}

const themes = { auto: 'as the system', light: 'light', dark: 'dark' };
function showTheme() {
  const theme = themes[settings.theme] ? settings.theme : 'auto';
  document.documentElement.dataset.theme = theme;
  $('theme').querySelector('use').setAttribute('href', `#i-${theme}`);
  $('theme').title = `Colours: ${themes[theme]}`;
  $('theme').setAttribute('aria-label', `Colours: ${themes[theme]}`);
}

function openSettings() {
  for (const field of fields) field.value = settings[field.name] ?? '';
  $('settings').showModal();
}

function takeSetting({ name, value, validity }) {
  if (!numbers.includes(name)) settings[name] = value;
  else if (value === '' || !validity.valid) delete settings[name];
  else settings[name] = Number(value);
  store.saveSettings(settings);
}

async function meetServer() {
  $('banner').hidden = true;
  try {
    const list = await server.models(settings.key);
    models = list.map(({ id }) => id);
    for (const model of list) contexts.set(model.id, model.meta?.n_ctx ?? model.context_length);
  } catch (error) {
    return warn(error.message, error.advice ?? '', error.wantsKey);
  }
  $('model').replaceChildren(...models.map((name) => new Option(name, name, false, name === settings.model)));
  $('model').hidden = models.length < 2;
  if (models.length) $('greeting').textContent = `Ask ${models.length > 1 ? 'one of the models' : models[0].replace(/^.*\//, '')} something.`;
  const known = await server.properties(settings.key).catch(() => ({}));
  const defaults = known.default_generation_settings ?? {};
  for (const field of fields) {
    const value = (defaults.params ?? defaults)[field.name];
    if (field.type === 'number') field.placeholder = value >= 0 ? Number(value.toFixed(3)) : '';
  }
}

$('composer').onsubmit = (event) => {
  event.preventDefault();
  const text = question.value.trim();
  if (!text || (current && running.has(current.id))) return;
  question.value = '';
  fit(question);
  ask(text);
};
question.oninput = window.onresize = () => fit(question);
question.onkeydown = (event) => {
  if (!sends(event)) return;
  event.preventDefault();
  $('composer').requestSubmit();
};
$('stop').onclick = () => {
  stop();
  question.focus();
};
document.addEventListener('keydown', (event) => {
  if (event.key !== 'Escape' || $('settings').open) return;
  if (document.body.classList.contains('drawer')) showDrawer(false);
  else stop();
});
log.addEventListener('click', ({ target }) => {
  const button = target.closest('.copy-code');
  if (button) copy(button.closest('.code').querySelector('code').textContent, button);
});

$('new').onclick = () => {
  open(null);
  showDrawer(false);
  question.focus();
};
$('import').onclick = () => $('file').click();
$('file').onchange = () => {
  if ($('file').files[0]) importConversations($('file').files[0]);
  $('file').value = '';
};
$('export').onclick = () => exportConversations([...conversations.values()], 'conversations');
$('menu').onclick = () => showDrawer(!document.body.classList.contains('drawer'));
$('shade').onclick = () => showDrawer(false);
$('model').onchange = () => {
  settings.model = $('model').value;
  store.saveSettings(settings);
};
$('theme').onclick = () => {
  const names = Object.keys(themes);
  settings.theme = names[(names.indexOf(settings.theme ?? 'auto') + 1) % names.length];
  store.saveSettings(settings);
  showTheme();
};
$('open-settings').onclick = openSettings;
$('settings').oninput = ({ target }) => takeSetting(target);
$('settings').querySelector('form').onsubmit = (event) => {
  event.preventDefault();
  $('settings').close();
};
$('settings').onclose = meetServer; // with a new key the server may answer
$('reset').onclick = () => {
  for (const field of fields) {
    delete settings[field.name];
    field.value = '';
  }
  store.saveSettings(settings);
};
window.addEventListener('hashchange', () => open(conversations.get(location.hash.slice(1)) ?? null));

showTheme();
fit(question);
meetServer();
store.loadConversations().then((kept) => {
  for (const conversation of kept) conversations.set(conversation.id, conversation);
  if (location.hash) open(conversations.get(location.hash.slice(1)) ?? null);
  else listConversations();
}, () => warn('This browser keeps no conversations here.', 'Export those that you need before you close the page.'));
showTitle();
