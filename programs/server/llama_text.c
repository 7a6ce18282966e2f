/* The part of llama-server's API that only handles text: tokens, templates, embeddings. */
#include "server/llama.h"

#include "server/ask.h"
#include "server/write.h"

#include <math.h>
#include <stdlib.h>

/* Read the body, load and hold the model, and answer with the result of a function. */
static void answer_about(exchange *x, json_t *(*make)(served_model *m, const json_t *body, failure *f)) {
    failure f = {0};
    const char *name = NULL;
    served_model *m = NULL;
    json_t *body = exchange_json(x, &f), *value = NULL;
    if (body && field_string(body, "model", &name, &f) && (m = model_acquire(name, &f))) value = make(m, body, &f);
    json_decref(body);
    model_release(m);
    if (!value && f.status == 0) refuse_memory(&f);
    if (value)
        answer_json(x, 200, value);
    else
        answer_failure(x, &f);
}

/* ------------------------------------------------------------------------------------------------ tokens */

static bool is_utf8(const char *bytes, size_t length) {
    for (size_t i = 0, n; i < length; i += n) {
        n = utf8_begins(bytes + i, length - i);
        if (n == 0 || n > length - i) return false;
    }
    return true;
}

/* A text, or its bytes if it is not UTF-8. */
static json_t *piece_of(const served_model *m, int32_t previous, int32_t token) {
    const cllm_string text = cllm_tokenizer_decode(cllm_model_tokenizer(m->run.model), previous, token);
    if (is_utf8(text.data, text.length)) return json_text(text.data, text.length);
    json_t *bytes = json_array();
    for (size_t i = 0; i < text.length; i++) json_add(&bytes, json_integer((unsigned char)text.data[i]));
    return bytes;
}

static json_t *make_tokens(served_model *m, const json_t *body, failure *f) {
    bool add_special = false, parse_special = true, with_pieces = false;
    const json_t *content = field_find(body, "content");
    int32_t *tokens;
    size_t count;
    if (!field_bool(body, "add_special", &add_special, f) || !field_bool(body, "parse_special", &parse_special, f) ||
        !field_bool(body, "with_pieces", &with_pieces, f))
        return NULL;
    if (!json_is_string(content)) {
        refuse(f, 400, "content", "content: must be a string");
        return NULL;
    }
    const int flags = (add_special ? CLLM_ENCODE_ADD_SPECIAL : 0) | (parse_special ? CLLM_ENCODE_PARSE_SPECIAL : 0);
    if (!model_encode(m, json_string_value(content), json_string_length(content), flags, &tokens, &count, f))
        return NULL;
    json_t *list = json_array(), *o = json_object();
    for (size_t i = 0; i < count; i++) {
        json_t *id = json_integer(tokens[i]), *one = with_pieces ? json_object() : id;
        if (with_pieces) {
            json_put(&one, "id", id);
            json_put(&one, "piece", piece_of(m, tokens[i > 0 ? i - 1 : 0], tokens[i]));
        }
        json_add(&list, one);
    }
    json_put(&o, "tokens", list);
    cllm_free(tokens);
    return o;
}

void llama_tokenize(exchange *x) { answer_about(x, make_tokens); }

static json_t *make_text(served_model *m, const json_t *body, failure *f) {
    const json_t *list = field_find(body, "tokens");
    int32_t *tokens;
    if (!json_is_array(list)) {
        refuse(f, 400, "tokens", "tokens: must be an array of token ids");
        return NULL;
    }
    if (!model_token_ids(m, list, "tokens", &tokens, f)) return NULL;
    json_t *o = json_object();
    json_put(&o, "content", llama_text(m, tokens, json_array_size(list)));
    free(tokens);
    return o;
}

void llama_detokenize(exchange *x) { answer_about(x, make_text); }

/* --------------------------------------------------------------------------------------------- templates */

static json_t *make_prompt(served_model *m, const json_t *body, failure *f) {
    chat_request chat = {.messages = json_object_get(body, "messages")};
    const json_t *kwargs = NULL;
    bool continues = false, prompts = true;
    cllm_part *parts = NULL;
    size_t n_parts = 0;
    if (!field_array(body, "tools", &chat.tools, f) || !field_object(body, "chat_template_kwargs", &kwargs, f) ||
        !field_string(body, "reasoning_effort", &chat.reasoning_effort, f) ||
        !field_bool(body, "continue_final_message", &continues, f) ||
        !field_bool(body, "add_generation_prompt", &prompts, f))
        return NULL;
    chat.continues = continues;
    json_t *own = kwargs ? json_copy((json_t *)kwargs) : json_object();
    if (!prompts) json_put(&own, "add_generation_prompt", json_false());
    chat.kwargs = own;
    json_t *o = NULL;
    text_buffer text = {0};
    if (render_chat(m, &chat, &parts, &n_parts, f)) {
        for (size_t i = 0; i < n_parts; i++) text_buffer_add(&text, parts[i].text.data, parts[i].text.length);
        o = json_object();
        json_put(&o, "prompt", json_text(text.bytes ? text.bytes : "", text.length));
    }
    free(text.bytes);
    cllm_free(parts);
    json_decref(own);
    return o;
}

void llama_apply_template(exchange *x) { answer_about(x, make_prompt); }

/* -------------------------------------------------------------------------------------------- embeddings */

/* What to divide one of the engine's vectors by. norm: 0 makes the largest number 32760, p makes the p-norm 1. The
 * vectors have length 1 already, so for norm 2 the divisor is 1. */
static double divisor_of(const float *values, size_t n, int64_t norm) {
    double sum = 0;
    if (norm == 2) return 1;
    for (size_t i = 0; i < n; i++) {
        const double size = fabs((double)values[i]);
        if (norm == 0)
            sum = size > sum ? size : sum;
        else
            sum += pow(size, (double)norm);
    }
    if (norm == 0) sum /= 32760;
    if (norm > 2) sum = pow(sum, 1 / (double)norm);
    return sum > 0 ? sum : 1;
}

static json_t *embeddings_whole(request *r) {
    const json_int_t norm = json_integer_value(json_object_get(r->details, "norm"));
    const size_t n_embd = cllm_engine_n_embd_out(r->model->run.engine);
    json_t *list = json_array();
    for (size_t i = 0; i < r->n_choices; i++) {
        const outcome *a = &r->outcomes[i];
        json_t *one = json_object(), *rows = json_array();
        for (size_t first = 0; first < a->n_floats;
             first += n_embd) { /* one vector for all tokens; with pooling none one for each */
            const double divisor = divisor_of(a->embedding + first, n_embd, norm);
            json_t *row = json_array();
            for (size_t k = first; k < first + n_embd; k++)
                json_add(&row, json_number((double)a->embedding[k] / divisor));
            json_add(&rows, row);
        }
        json_put(&one, "index", json_integer((json_int_t)i));
        json_put(&one, "embedding", rows);
        json_add(&list, one);
    }
    return list;
}

static const answer_form embeddings_form = {.whole = embeddings_whole};

static bool take_embeddings(request *r, const json_t *body, failure *f) {
    int64_t norm = 2;
    const char *name = field_find(body, "input") ? "input" : "content";
    const json_t *given = field_find(body, name);
    if (!field_whole(body, "embd_normalize", -1, 1000, &norm, f)) return false;
    if (norm < 0)
        return refuse(f, 501, "embd_normalize", "embd_normalize: -1 is not supported: vectors always have length 1");
    r->details = json_pack("{s:I}", "norm", (json_int_t)norm);
    if (!r->details) return refuse_memory(f);
    if (!given) return refuse(f, 400, "content", "content is missing");
    return llama_prompts(r, name, given, f) && ask_end(r, f);
}

void llama_embeddings(exchange *x) { answer_with(x, REQUEST_EMBED, "embd-", &embeddings_form, take_embeddings); }
