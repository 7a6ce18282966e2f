/* Markdown to the document: text that still grows is shown block by block, and what comes from a model is harmless. */
import { Marked, DOMPurify, hljs } from './vendor.js';

const longCode = 10000; // characters: code that still grows beyond this gets its colours at the end,
const plainCode = 100000; // and beyond this none
const marked = new Marked({ gfm: true });

const escapes = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
const escape = (text) => text.replace(/[&<>"']/g, (character) => escapes[character]);

/* HTML that a model wrote is shown as text, except for these tags without attributes. */
const plainTag = /^<\/?(?:br|b|i|u|s|kbd|mark|sub|sup)\s*\/?>$/i;

let growing = false; // is the block that is being rendered still growing?

function code({ text, lang }) {
  const name = (lang ?? '').match(/^[^\s{]*/)[0];
  const known = hljs.getLanguage(name) && text.length < (growing ? longCode : plainCode);
  const html = known ? hljs.highlight(text, { language: name, ignoreIllegals: true }).value : escape(text);
  return `<pre title="${escape(name || 'text')}"><code>${html}\n</code></pre>\n`;
}

marked.use({
  renderer: {
    code,
    html: ({ text }) => (plainTag.test(text.trim()) ? text : escape(text)),
    image: ({ href, text }) => `<a href="${escape(href)}">${escape(text || 'image')}</a>`,
    checkbox: ({ checked }) => (checked ? '☑ ' : '☐ '),
  },
});

const rules = {
  ALLOWED_TAGS: ('a b blockquote br code del em h1 h2 h3 h4 h5 h6 hr i kbd li mark ol p pre s span strong sub sup ' +
    'table tbody td th thead tr u ul').split(' '),
  ALLOWED_ATTR: ['align', 'class', 'href', 'start', 'title'],
  ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
  ALLOW_ARIA_ATTR: false,
  ALLOW_DATA_ATTR: false,
  KEEP_CONTENT: true,
  RETURN_DOM_FRAGMENT: true,
};

DOMPurify.addHook('uponSanitizeAttribute', (node, attribute) => {
  if (attribute.attrName === 'class' && !/^(hljs-[\w-]+)( [\w-]+)*$/.test(attribute.attrValue)) attribute.keepAttr = false;
});

/* A fragment without anything that runs, loads or asks. */
export function harmless(html) {
  const fragment = DOMPurify.sanitize(html, rules);
  for (const link of fragment.querySelectorAll('a')) {
    link.target = '_blank';
    link.rel = 'noopener noreferrer';
  }
  return fragment;
}

/* Code gets a line above it with its language and a button that copies it; a wide table scrolls by itself. */
function dress(fragment) {
  for (const pre of fragment.querySelectorAll('pre')) {
    const block = document.getElementById('code-template').content.firstElementChild.cloneNode(true);
    block.querySelector('.language').textContent = pre.title;
    pre.removeAttribute('title');
    pre.tabIndex = 0; // to be scrolled by the keyboard
    pre.replaceWith(block);
    block.append(pre);
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

/* Shows in `element` the Markdown that is appended. Blocks that can no longer change stay as they are, so that a long answer
   costs no more at its end than at its beginning. */
export class GrowingMarkdown {
  #element;
  #drawn; // called after each change of the document
  #text = '';
  #settled = 0; // characters of the blocks that can no longer change,
  #nodes = 0; // and the nodes that show them
  #links = Object.create(null); // targets by name, which these blocks define
  #defines = false;
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
    if (this.#defines) { // after their use, it may be
      this.#settled = this.#nodes = 0;
      this.#links = Object.create(null);
      this.#draw(true);
    }
  }

  /* Drawing takes an eighth of the time at most, whatever it costs. */
  #frame() {
    if (!this.#waiting) return;
    this.#waiting = false;
    const begin = performance.now();
    this.#draw(false);
    const end = performance.now();
    this.#readyAt = end + 7 * (end - begin);
  }

  #draw(finished) {
    const lexer = new marked.Lexer(marked.defaults);
    Object.assign(lexer.tokens.links, this.#links);
    const tokens = lexer.lex(this.#text.slice(this.#settled));
    // One block may yet join the one before it: "2" is a paragraph, "2. " an item of the list.
    const blocks = tokens.flatMap((token, i) => (token.type === 'space' ? [] : [i]));
    const firstOpen = finished ? tokens.length : (blocks.at(-2) ?? 0);

    while (this.#element.childNodes.length > this.#nodes) this.#element.lastChild.remove();
    tokens.forEach((token, i) => {
      this.#defines ||= token.type === 'def';
      growing = !finished && i === tokens.length - 1;
      this.#element.append(dress(harmless(marked.parser([token]))));
      if (i >= firstOpen) return;
      if (token.type === 'def') this.#links[token.tag] ??= { href: token.href, title: token.title };
      this.#settled += token.raw.length;
      this.#nodes = this.#element.childNodes.length;
    });
    growing = false;
    this.#drawn();
  }
}
