/* Turns Markdown into nodes of the page. Text that still grows is shown block by block. Nothing that a model writes can
   do harm. */
import { Marked, DOMPurify, hljs } from './vendor.js';

const marked = new Marked({ gfm: true });

const escapes = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#x27;' };
const escape = (text) => text.replace(/[&<>"']/g, (character) => escapes[character]);
const unescape = (text) => text.replace(/&[#\w]+;/g, (name) => Object.keys(escapes).find((character) => escapes[character] === name) ?? name);

/* HTML that a model wrote is shown as text, except for these tags without attributes. */
const plainTag = /^<\/?(?:br|b|i|u|s|kbd|mark|sub|sup)\s*\/?>$/i;

marked.use({
  renderer: {
    code: ({ text, lang }) => `<pre title="${escape((lang ?? '').match(/^[^\s{]*/)[0])}"><code>${escape(text)}\n</code></pre>\n`,
    html: ({ text }) => (plainTag.test(text.trim()) ? text : escape(text)),
    image: ({ href, text }) => `<a href="${escape(href)}">${escape(text || 'image')}</a>`,
    checkbox: ({ checked }) => (checked ? '☑ ' : '☐ '),
  },
});

const rules = {
  ALLOWED_TAGS: ('a b blockquote br code del em h1 h2 h3 h4 h5 h6 hr i kbd li mark ol p pre s span strong sub sup ' +
    'table tbody td th thead tr u ul').split(' '),
  ALLOWED_ATTR: ['align', 'href', 'start', 'title'],
  ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
  ADD_URI_SAFE_ATTR: ['align', 'start'],
  ALLOW_ARIA_ATTR: false,
  ALLOW_DATA_ATTR: false,
  KEEP_CONTENT: true,
  RETURN_DOM_FRAGMENT: true,
};

/* The HTML as a fragment that runs no code, loads no file and has no form. */
export function harmless(html) {
  const fragment = DOMPurify.sanitize(html, rules);
  for (const link of fragment.querySelectorAll('a')) {
    link.target = '_blank';
    link.rel = 'noopener noreferrer';
  }
  return fragment;
}

/* highlight.js writes spans and text. The nodes are made here, so that they can be nothing else. */
function coloured(text, language) {
  const top = document.createDocumentFragment();
  let inner = top;
  const { value } = hljs.highlight(text, { language, ignoreIllegals: true });
  for (const [, name, end, plain] of value.matchAll(/<span class="([\w -]+)">|(<\/span>)|([^<]+)/g)) {
    if (plain) inner.append(unescape(plain));
    else if (end) inner = inner.parentNode ?? top;
    else {
      const span = document.createElement('span');
      span.className = name;
      inner.append(span);
      inner = span;
    }
  }
  return top;
}

/* Short code gets its colours at once. Long code gets them when it is complete and the browser is idle. The longest
   code gets none. */
const longCode = 10000; // characters
const longestCode = 100000;
const whenIdle = window.requestIdleCallback ?? setTimeout;

function colour(code, language, whole) {
  const text = code.textContent;
  if (!hljs.getLanguage(language) || text.length > longestCode) return;
  if (text.length < longCode) code.replaceChildren(coloured(text, language));
  else if (whole) {
    whenIdle(() => {
      const nodes = coloured(text, language);
      whenIdle(() => code.replaceChildren(nodes));
    });
  }
}

/* Code gets a line above it with its language and a button that copies it. A wide table gets a frame that scrolls. */
function dress(fragment, whole) {
  for (const pre of fragment.querySelectorAll('pre')) {
    const block = document.getElementById('code-template').content.firstElementChild.cloneNode(true);
    const language = pre.title;
    block.querySelector('.language').textContent = language || 'text';
    pre.removeAttribute('title');
    pre.tabIndex = 0; // to be scrolled by the keyboard
    pre.replaceWith(block);
    block.append(pre);
    colour(pre.firstElementChild, language, whole);
  }
  for (const table of fragment.querySelectorAll('table')) {
    const frame = document.createElement('div');
    frame.className = 'table';
    frame.tabIndex = 0;
    table.replaceWith(frame);
    frame.append(table);
  }
  return fragment;
}

/* Shows Markdown in `element` while it is appended. Blocks that can no longer change stay as they are, so that a long
   answer costs no more at its end than at its beginning. */
export class GrowingMarkdown {
  #element;
  #drawn; // called after each change of the document
  #text = '';
  #settled = 0; // characters of the settled blocks, which can no longer change
  #nodes = 0; // nodes that show the settled blocks
  #links = Object.create(null); // targets of links by name, as settled blocks define them
  #naming = []; // settled blocks that may use such names: { raw, nodes }
  #waiting = false;
  #readyAt = 0;

  constructor(element, drawn = () => {}) {
    this.#element = element;
    this.#drawn = drawn;
    element.replaceChildren();
  }

  append(text) {
    this.#text += text.replaceAll('\r', '');
    if (this.#waiting) return;
    this.#waiting = true;
    setTimeout(() => requestAnimationFrame(() => this.#frame()), this.#readyAt - performance.now());
  }

  finish() {
    this.#waiting = false;
    this.#draw(true);
  }

  /* Draw, then wait seven times as long, so that drawing takes at most an eighth of the time. */
  #frame() {
    if (!this.#waiting) return;
    this.#waiting = false;
    const begin = performance.now();
    this.#draw(false);
    const end = performance.now();
    this.#readyAt = end + 7 * (end - begin);
  }

  #draw(finished) {
    const tokens = this.#lex(this.#text.slice(this.#settled));
    // The last block may still join the one before it: "2" is a paragraph, but "2. " is an item of the list.
    const blocks = tokens.flatMap((token, i) => (token.type === 'space' ? [] : [i]));
    const firstOpen = finished ? tokens.length : (blocks.at(-2) ?? 0);

    while (this.#element.childNodes.length > this.#nodes) this.#element.lastChild.remove();
    tokens.forEach((token, i) => {
      const whole = i < firstOpen;
      const fragment = dress(harmless(marked.parser([token])), whole);
      const nodes = [...fragment.childNodes];
      this.#element.append(fragment);
      if (whole) this.#settle(token, nodes);
    });
    this.#drawn();
  }

  #lex(text) {
    const lexer = new marked.Lexer(marked.defaults);
    Object.assign(lexer.tokens.links, this.#links);
    return lexer.lex(text);
  }

  #settle(token, nodes) {
    if (token.raw.includes('[')) this.#naming.push({ raw: token.raw, nodes });
    if (token.type === 'def' && !(token.tag in this.#links)) this.#define(token);
    this.#settled += token.raw.length;
    this.#nodes = this.#element.childNodes.length;
  }

  /* Define a name. Earlier blocks may use it already: draw those again. */
  #define({ tag, href, title }) {
    this.#links[tag] = { href, title };
    for (const block of this.#naming) {
      if (!block.nodes.length || !block.raw.toLowerCase().replace(/\s+/g, ' ').includes(`[${tag}]`)) continue;
      const fragment = dress(harmless(marked.parser(this.#lex(block.raw))), true);
      const [first, ...rest] = block.nodes;
      block.nodes = [...fragment.childNodes];
      for (const node of rest) node.remove();
      first.replaceWith(fragment);
    }
  }
}
