/* Chat templates: the language of Jinja 3.1, in its immutable sandbox, as Hugging Face's transformers set it up (trim_blocks,
 * lstrip_blocks, break and continue, {% generation %}, raise_exception, strftime_now, tojson without escapes for HTML).
 *
 *   source -> jinja_lexer -> jinja_parser -> a tree -> jinja_render, with variables -> text, each byte trusted or not
 *
 * What a template may spend is limited: see jinja_run.h. */
#ifndef CHAT_JINJA_H
#define CHAT_JINJA_H

#include "chat/jinja_parser.h"

/* variables: a JSON object. Those named in `trusted`, [n_trusted], hold what the vocabulary supplies, and count as the template's own text.
 * now: seconds since 1970, for strftime_now. parts: out, [*n_parts], in the arena;
 * those that are trusted and those that are not take turns.
 * Errors, with line and column: ARGUMENT (the template refuses the variables, by raise_exception or because it cannot do with them what it
 * does), UNSUPPORTED (it takes too much), MEMORY. */
cllm_status jinja_render(const jinja_tree *tree, const json_value *variables, const char *const *trusted,
                         size_t n_trusted, int64_t now, arena *a, cllm_part **parts, size_t *n_parts, cllm_error *err);

#endif
