/* Chat templates: the language of Jinja 3.1, in its immutable sandbox, as Hugging Face's transformers sets it up
 * (trim_blocks, lstrip_blocks, break and continue, {% generation %}, raise_exception, strftime_now, tojson without HTML
 * escapes).
 *
 *   source -> jinja_lexer -> jinja_parser -> a tree -> jinja_render, with variables -> text, each byte trusted or not
 *
 * The resources of a template are limited: see jinja_run.h. */
#ifndef CHAT_JINJA_H
#define CHAT_JINJA_H

#include "chat/jinja_parser.h"

/* variables: a JSON object. trusted: [n_trusted] names of variables that come from the vocabulary; their text is
 * trusted like the template's own. now: seconds since 1970, for strftime_now. parts: out, [*n_parts], in the arena;
 * trusted parts and others alternate. Errors, with line and column: ARGUMENT (the template refuses the variables with
 * raise_exception, or uses them in a way that fails), UNSUPPORTED (it exceeds a limit), MEMORY. */
cllm_status jinja_render(const jinja_tree *tree, const json_value *variables, const char *const *trusted,
                         size_t n_trusted, int64_t now, arena *a, cllm_part **parts, size_t *n_parts, cllm_error *err);

#endif
