/* The handlers of the APIs, which routes.c names, file by file; and the form in which each API reports a failed
 * request. */
#ifndef SERVER_DIALECTS_H
#define SERVER_DIALECTS_H

#include "server/http.h"

/* openai.c: OpenAI's chat completions, completions, embeddings and models */
json_t *openai_failure(const failure *f);
void openai_chat(exchange *x);
void openai_completions(exchange *x);
void openai_embeddings(exchange *x);
void openai_models(exchange *x);
void openai_model(exchange *x);

/* responses.c: OpenAI's Responses */
void openai_responses(exchange *x);

/* anthropic.c: Anthropic's messages */
json_t *anthropic_failure(const failure *f);
void anthropic_messages(exchange *x);
void anthropic_count_tokens(exchange *x);

/* Parts of OpenAI's answers that other APIs use too. */
void openai_wait(request *r, text_buffer *out); /* a comment in a stream */
json_t *openai_logprobs(const request *r, size_t choice, const int32_t *tokens, const cllm_logprob *logprobs, size_t n,
                        int32_t previous);
json_t *llama_timings(usage u);
json_t *llama_progress(usage u);         /* how much of the prompt was read */
json_t *describe_model(served_model *m); /* an element of /v1/models */

/* Read the body, make a request from it, and run it. id_prefix: of the answer's id. */
void answer_with(exchange *x, request_kind kind, const char *id_prefix, const answer_form *form,
                 bool (*take)(request *r, const json_t *body, failure *f));

/* llama.c: llama-server's completions */
json_t *llama_failure(const failure *f);
void llama_completion(exchange *x);
void llama_infill(exchange *x);

/* llama_text.c: llama-server's endpoints for texts */
void llama_tokenize(exchange *x);
void llama_detokenize(exchange *x);
void llama_apply_template(exchange *x);
void llama_embeddings(exchange *x);

/* rerank.c: sorts documents by a query */
void llama_rerank(exchange *x);

/* llama_state.c: the state of llama-server, some of which clients may change */
void llama_props(exchange *x);
void llama_set_props(exchange *x);
void llama_slots(exchange *x);
void llama_change_slot(exchange *x);
void llama_adapters(exchange *x);
void llama_set_adapters(exchange *x);
void llama_load(exchange *x);
void llama_unload(exchange *x);

/* ollama.c: ollama's endpoints for texts */
json_t *ollama_failure(const failure *f);
void ollama_chat(exchange *x);
void ollama_generate(exchange *x);
void ollama_embed(exchange *x);
void ollama_embeddings(exchange *x);

/* ollama_models.c: ollama's endpoints for models */
void ollama_tags(exchange *x);
void ollama_show(exchange *x);
void ollama_ps(exchange *x);
void ollama_version(exchange *x);
void ollama_not_here(exchange *x); /* for requests that would change or upload models */

/* ollama_pull.c */
void ollama_pull(exchange *x);

/* operation.c: the state of the server */
void show_health(exchange *x);
void show_metrics(exchange *x);
void show_root(exchange *x);
void show_page(exchange *x); /* a file of the web page */

#endif
