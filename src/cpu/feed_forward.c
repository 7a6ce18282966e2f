/* The half of a layer that processes each token separately: one network (with or without a gate), a mixture of experts
 * (Shazeer et al. 2017), or both. Of the experts, a router chooses a few for each token. Before it: attention.c or
 * recurrent.c. After it: per_layer.c, or the next layer.
 *
 * Experts: the router's scores -> each token's chosen experts and their weights -> tokens sorted by expert, so that
 * each expert's matrices are multiplied by all its tokens at once -> the experts' networks -> each token's weighted
 * sum, in the order in which its experts were chosen. So a token's result has the same bits in any batch. */
#include "cpu/steps.h"

#include "base/exponential.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------------- one network */

/* Subtract a threshold from the elements of a token's gate. The threshold is gate_deviations standard deviations above
 * their mean, and elements below it become 0. Then apply the activation. */
static void sparse_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const row_work *work = argument;
    const forward_cpu *f = work->f;
    const layer_config *l = layer_of(f);
    forward_vectors hidden = f->buffers.gate;
    hidden.n_columns = l->n_ff;
    float *gate = hidden.floats + b * (size_t)l->n_ff;
    double sum = 0, squares = 0;
    for (uint32_t i = 0; i < l->n_ff; i++) sum += (double)gate[i];
    const double mean = sum / l->n_ff;
    for (uint32_t i = 0; i < l->n_ff; i++) squares += ((double)gate[i] - mean) * ((double)gate[i] - mean);
    const float least = (float)(mean + (double)l->gate_deviations * sqrt(squares / (l->n_ff - 1.0)));
    for (uint32_t i = 0; i < l->n_ff; i++) gate[i] = gate[i] > least ? gate[i] - least : 0;
    f->model.kernels->activate(f->model.config->activation, NULL, gate, f->buffers.up + b * (size_t)l->n_ff, l->n_ff);
    if (work->quantize) quantize_vector(f, &hidden, b);
}

/* Run gate, up and down, or only up and down. sum: as for run_products; NULL: the result stays in
 * f->buffers.projected. */
static void run_network(forward_cpu *f, const linear *gate, const linear *up, const linear *down, uint32_t n_rows,
                        float *sum) {
    const bool gated = activation_has_gate(f->model.config->activation);
    const uint32_t n_ff = up->w.n_rows;
    forward_vectors hidden = f->buffers.gate;
    hidden.n_columns = n_ff;
    product products[2] = {product_of(gated ? gate : up, 0, &f->buffers.normed, 0, n_rows, hidden.floats)};
    if (gated) products[1] = product_of(up, 0, &f->buffers.normed, 0, n_rows, f->buffers.up);
    if (layer_of(f)->gate_deviations > 0) {
        row_work work = {.f = f, .n_rows = n_rows, .quantize = reads_quantized(f, down)};
        run_products(f, products, 2, NULL);
        run_row_step(&work, 12 * (uint64_t)n_ff, sparse_item);
    } else {
        if (reads_quantized(f, down)) quantize_result(&products[0], &hidden, 0);
        run_activated_products(f, products, gated ? 2 : 1, layer_of(f)->activation_numbers[0]);
    }
    product out = product_of(down, 0, &hidden, 0, n_rows, f->buffers.projected);
    run_products(f, &out, 1, sum);
}

/* ----------------------------------------------------------------------------------------- choosing experts */

void softmax(float *x, size_t n) {
    float max = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++) max = x[i] > max ? x[i] : max;
    for (size_t i = 0; i < n; i++) sum += x[i] = exp_or_zero(x[i] - max);
    for (size_t i = 0; i < n; i++) x[i] = normal_or_zero(x[i] / sum);
}

/* Remove the largest value and return its index; the lowest index if several are equal. ranked: [n], no NaN; -infinity
 * marks removed values, and at least one must be left. */
static uint32_t take_best(float *ranked, uint32_t n) {
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        if (ranked[i] > ranked[best]) best = i;
    ranked[best] = -INFINITY;
    return best;
}

/* Keep only experts of the best groups. A group's score is that of its best expert if scores are a softmax (DeepSeek
 * V2), or the sum of its best two (V3). score: [n_expert_groups] work space. */
static void mask_groups(const model_config *c, float *ranked, float *score) {
    const uint32_t length = c->n_experts / c->n_expert_groups;
    for (uint32_t g = 0; g < c->n_expert_groups; g++) {
        float first = -INFINITY, second = -INFINITY;
        for (uint32_t i = g * length; i < (g + 1) * length; i++) {
            if (ranked[i] > first) {
                second = first;
                first = ranked[i];
            } else if (ranked[i] > second) {
                second = ranked[i];
            }
        }
        const bool by_best = c->expert_gating == GATING_SOFTMAX || length == 1;
        score[g] = by_best ? first : first + second;
    }
    for (uint32_t left_out = c->n_expert_groups - c->n_expert_groups_used; left_out > 0; left_out--) {
        uint32_t worst = c->n_expert_groups; /* the highest index if several are equal */
        for (uint32_t g = 0; g < c->n_expert_groups; g++)
            if (score[g] < INFINITY && (worst == c->n_expert_groups || score[g] <= score[worst])) worst = g;
        if (worst == c->n_expert_groups) return;
        score[worst] = INFINITY;
        for (uint32_t i = worst * length; i < (worst + 1) * length; i++) ranked[i] = -INFINITY;
    }
}

void choose_experts(const model_config *c, const float *bias, float *scores, uint32_t *chosen, float *weights) {
    float *ranked = scores + c->n_experts;
    if (c->expert_gating == GATING_SOFTMAX) softmax(scores, c->n_experts);
    for (uint32_t i = 0; i < c->n_experts; i++) {
        if (c->expert_gating == GATING_SIGMOID) scores[i] = sigmoid(scores[i]);
        const float rank = scores[i] + (bias ? bias[i] : 0);
        ranked[i] = rank > -FLT_MAX ? rank : -FLT_MAX; /* NaN ranks last */
    }
    if (c->n_expert_groups > 1) mask_groups(c, ranked, ranked + c->n_experts);
    for (uint32_t k = 0; k < c->n_experts_used; k++) {
        chosen[k] = take_best(ranked, c->n_experts);
        weights[k] = scores[chosen[k]];
    }
    if (c->expert_gating == GATING_SOFTMAX_OF_CHOSEN) softmax(weights, c->n_experts_used);
    float sum = 0;
    for (uint32_t k = 0; k < c->n_experts_used; k++) sum += weights[k];
    const float least = 6.103515625e-5f; /* the smallest normal float16; in training, sums were at least this */
    const float factor = c->expert_weights_scale / (c->expert_weights_normalised ? fmaxf(sum, least) : 1);
    for (uint32_t k = 0; k < c->n_experts_used; k++) weights[k] *= factor;
}

static void choose_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const forward_cpu *f = ((const row_work *)argument)->f;
    const model_config *c = f->model.config;
    const size_t n = c->n_experts_used;
    choose_experts(c, weights_of(f)->exp_probs_b, f->buffers.router + b * 3 * c->n_experts, f->buffers.chosen + b * n,
                   f->buffers.expert_weights + b * n);
}

/* ------------------------------------------------------------------------------------------------- experts */

/* Give each choice a row, so that those of an expert are adjacent: expert_rows[choice], and each expert's first row,
 * first_row, [n_experts + 1]. */
static void sort_by_expert(forward_cpu *f, uint32_t n_rows) {
    const model_config *c = f->model.config;
    const size_t n_choices = (size_t)n_rows * c->n_experts_used;
    uint32_t *first = f->buffers.first_row;
    memset(first, 0, (c->n_experts + 1) * sizeof *first);
    for (size_t i = 0; i < n_choices; i++) first[f->buffers.chosen[i] + 1]++;
    for (uint32_t e = 0; e < c->n_experts; e++) first[e + 1] += first[e];
    for (size_t i = 0; i < n_choices; i++) f->buffers.expert_rows[i] = first[f->buffers.chosen[i]]++;
    for (uint32_t e = c->n_experts; e > 0; e--) first[e] = first[e - 1];
    first[0] = 0;
}

/* Copy a token's vector to the rows of its choices, times the expert's weight if that applies to the input. */
static void gather_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const row_work *work = argument;
    const forward_cpu *f = work->f;
    const bool weighted = f->model.config->traits->expert_weights_on_input;
    const size_t n = f->buffers.normed.n_columns, n_blocks = n / ACTIVATION_BLOCK;
    for (uint32_t k = 0; k < f->model.config->n_experts_used; k++) {
        const size_t choice = b * f->model.config->n_experts_used + k, row = f->buffers.expert_rows[choice];
        memcpy(f->buffers.gathered.floats + row * n, f->buffers.normed.floats + b * n, n * sizeof(float));
        if (weighted) scale_floats(f->buffers.gathered.floats + row * n, f->buffers.expert_weights[choice], n);
        if (work->quantize && weighted) quantize_vector(f, &f->buffers.gathered, row);
        if (!work->quantize || weighted) continue;
        memcpy(f->buffers.gathered.quantized + row * n, f->buffers.normed.quantized + b * n, n);
        memcpy(f->buffers.gathered.blocks + row * n_blocks, f->buffers.normed.blocks + b * n_blocks,
               n_blocks * sizeof *f->buffers.normed.blocks);
    }
}

/* True if shared experts have their own gate, as in some families. */
static bool gates_shared(const model_config *c) {
    return c->n_ff_shared > 0 && c->traits->shared & TENSOR_BIT(ffn_gate_inp_shexp);
}

/* Add the weighted results of a token's experts to that of the shared expert, in f->buffers.projected. */
static void combine_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const row_work *work = argument;
    const forward_cpu *f = work->f;
    const model_config *c = f->model.config;
    const size_t n = c->n_embd;
    float *out = f->buffers.projected + b * n;
    if (c->n_ff_shared == 0) memset(out, 0, n * sizeof *out);
    if (gates_shared(c)) {
        const float open = sigmoid(f->buffers.shared_gate[b]);
        for (size_t i = 0; i < n; i++) out[i] *= open;
    }
    for (uint32_t k = 0; k < c->n_experts_used; k++) {
        const size_t choice = b * c->n_experts_used + k;
        const float *expert = f->buffers.expert_out + f->buffers.expert_rows[choice] * n,
                    weight = c->traits->expert_weights_on_input ? 1 : f->buffers.expert_weights[choice];
        for (size_t i = 0; i < n; i++) out[i] += weight * expert[i];
    }
    if (c->traits->shared_mean && c->n_ff_shared > 0) scale_floats(out, 0.5f, n);
}

/* Run the networks of the chosen experts. */
static void run_experts(forward_cpu *f) {
    const model_config *c = f->model.config;
    const layer_weights *w = weights_of(f);
    forward_vectors hidden = f->buffers.gate;
    hidden.n_columns = c->n_ff_expert;
    const bool quantize = reads_quantized(f, &w->ffn_down_exps), gated = activation_has_gate(c->activation);
    size_t n_products = 0;
    for (uint32_t e = 0; e < c->n_experts; e++) {
        const size_t first = f->buffers.first_row[e];
        const uint32_t count = f->buffers.first_row[e + 1] - f->buffers.first_row[e];
        if (count == 0) continue;
        product *p = f->buffers.products + n_products;
        p[0] = product_of(gated ? &w->ffn_gate_exps : &w->ffn_up_exps, e, &f->buffers.gathered, first, count,
                          hidden.floats + first * c->n_ff_expert);
        if (gated)
            p[1] = product_of(&w->ffn_up_exps, e, &f->buffers.gathered, first, count,
                              f->buffers.up + first * c->n_ff_expert);
        if (quantize) quantize_result(&p[0], &hidden, first);
        n_products += gated ? 2 : 1;
    }
    run_activated_products(f, f->buffers.products, n_products, layer_of(f)->activation_numbers[1]);
    n_products = 0;
    for (uint32_t e = 0; e < c->n_experts; e++) {
        const size_t first = f->buffers.first_row[e];
        const uint32_t count = f->buffers.first_row[e + 1] - f->buffers.first_row[e];
        if (count > 0)
            f->buffers.products[n_products++] =
                product_of(&w->ffn_down_exps, e, &hidden, first, count, f->buffers.expert_out + first * c->n_embd);
    }
    run_products(f, f->buffers.products, n_products, NULL);
}

/* Compute scores of experts, and the gate of the shared expert. After a token's scores there is space to rank them. */
static void run_router(forward_cpu *f, uint32_t n_rows, bool router, bool shared_gate) {
    const layer_weights *w = weights_of(f);
    product products[2];
    size_t n = 0;
    if (router) {
        products[n] = product_of(&w->ffn_gate_inp, 0, &f->buffers.normed, 0, n_rows, f->buffers.router);
        products[n++].out_stride = 3 * (size_t)f->model.config->n_experts;
    }
    if (shared_gate)
        products[n++] = product_of(&w->ffn_gate_inp_shexp, 0, &f->buffers.normed, 0, n_rows, f->buffers.shared_gate);
    if (n > 0) run_products(f, products, n, NULL);
}

void route(forward_cpu *f, const float *x) {
    const linear *router = &weights_of(f)->ffn_gate_inp;
    if (!layer_has_experts(layer_of(f))) return;
    run_norm(f, &(norm_weights){0}, x, f->all.count, reads_quantized(f, router));
    run_router(f, f->all.count, true, false);
}

void keep_scores(forward_cpu *f) {
    const size_t n = 3 * (size_t)f->model.config->n_experts;
    float *to = f->buffers.router;
    for (uint32_t s = 0; s < f->all.n_spans; s++) {
        const forward_span *span = &f->all.spans[s];
        const size_t from = span->first_row + span->n_rows - span->n_kept;
        memmove(to, f->buffers.router + from * n, span->n_kept * n * sizeof *to);
        to += span->n_kept * n;
    }
}

static bool experts_quantize(const forward_cpu *f) {
    const layer_weights *w = weights_of(f);
    return reads_quantized(f, &w->ffn_gate_exps) || reads_quantized(f, &w->ffn_up_exps);
}

/* The router and the experts read f->buffers.normed. But beside a dense network (NETWORK_BOTH) the experts read another
 * norm of x; x is used only for that. */
static void run_mixture(forward_cpu *f, uint32_t n_rows, const float *x) {
    const model_config *c = f->model.config;
    const layer_weights *w = weights_of(f);
    row_work work = {.f = f, .n_rows = n_rows, .quantize = experts_quantize(f)};
    run_router(f, n_rows, !c->traits->router_reads_layer, gates_shared(c));
    run_row_step(&work, (uint64_t)c->n_experts * (c->n_experts_used + 8), choose_item);
    if (f->stopped) return;
    sort_by_expert(f, n_rows);
    if (layer_of(f)->network == NETWORK_BOTH) run_norm(f, &w->pre_ffw_norm_2, x, n_rows, experts_quantize(f));
    run_row_step(&work, 2 * (uint64_t)c->n_embd * c->n_experts_used, gather_item);
    run_experts(f);
    if (c->n_ff_shared > 0) run_network(f, &w->ffn_gate_shexp, &w->ffn_up_shexp, &w->ffn_down_shexp, n_rows, NULL);
    run_row_step(&work, (uint64_t)c->n_embd * (c->n_experts_used + 1), combine_item);
}

/* If experts are beside a dense network: norm the network's result, and keep it in f->buffers.beside. */
static void keep_network_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const forward_cpu *f = ((const row_work *)argument)->f;
    const size_t n = f->model.config->n_embd;
    normalize(f, &weights_of(f)->post_ffw_norm_1, f->buffers.projected + b * n, n, f->buffers.beside + b * n);
}

/* Then norm the experts' result, and add the network's. */
static void add_network_item(void *argument, size_t b, uint32_t thread) {
    (void)thread;
    const forward_cpu *f = ((const row_work *)argument)->f;
    const size_t n = f->model.config->n_embd;
    float *out = f->buffers.projected + b * n;
    normalize(f, &weights_of(f)->post_ffw_norm_2, out, n, out);
    f->model.kernels->add(out, f->buffers.beside + b * n, n);
}

/* f->buffers.normed has the norm of x for the dense network. */
static void run_network_and_mixture(forward_cpu *f, uint32_t n_rows, const float *x) {
    const layer_weights *w = weights_of(f);
    row_work work = {.f = f, .n_rows = n_rows};
    run_network(f, &w->ffn_gate, &w->ffn_up, &w->ffn_down, n_rows, NULL);
    run_row_step(&work, f->model.config->n_embd, keep_network_item);
    run_norm(f, &w->ffn_gate_inp_norm, x, n_rows, reads_quantized(f, &w->ffn_gate_inp));
    run_mixture(f, n_rows, x);
    run_row_step(&work, f->model.config->n_embd, add_network_item);
}

/* -------------------------------------------------------------------------------------- the half of a layer */

bool feed_forward_quantizes(const forward_cpu *f) {
    const layer_weights *w = weights_of(f);
    const linear *const readers[] = {&w->ffn_gate,       &w->ffn_up,      &w->ffn_gate_inp,
                                     &w->ffn_gate_exps,  &w->ffn_up_exps, &w->ffn_gate_inp_shexp,
                                     &w->ffn_gate_shexp, &w->ffn_up_shexp};
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++)
        if (reads_quantized(f, readers[i])) return true;
    return false;
}

void feed_forward_block(forward_cpu *f, uint32_t n_rows, float *x) {
    const layer_config *l = layer_of(f);
    const layer_weights *w = weights_of(f);
    const norm_weights none = {0};
    const bool ends_normed = l->form == FORM_NORMED_SUMS;
    const bool at_once = !ends_normed && adds_at_once(f, &w->post_ffw_norm);
    if (l->network == NETWORK_NONE) return;
    if (!layer_is_parallel(l)) run_norm(f, &w->ffn_norm, x, n_rows, feed_forward_quantizes(f));
    if (l->network == NETWORK_BOTH) run_network_and_mixture(f, n_rows, x);
    if (l->network == NETWORK_EXPERTS) run_mixture(f, n_rows, x);
    if (l->network == NETWORK_DENSE) {
        run_network(f, &w->ffn_gate, &w->ffn_up, &w->ffn_down, n_rows, at_once ? x : NULL);
        if (at_once) return;
    }
    if (ends_normed)
        add_and_norm(f, &w->layer_output_norm, &none, x, n_rows);
    else
        add_projected(f, &w->post_ffw_norm, x, n_rows);
}
