/* The structs behind the buffers of each kernel, shared by the kernel text and the host: 32-bit fields alone, which every
 * compiler lays out alike. A stride is the distance of two tokens' rows in floats; the first token of a launch may have
 * tokens before it in a buffer. */
#ifndef GPU_KERNEL_ARGS_H
#define GPU_KERNEL_ARGS_H

enum {
    CHUNK = 256,    /* positions that attention joins with the others as one, as on the CPU */
    QUERIES = 8,    /* that meet a chunk together */
    MAX_HEAD = 256, /* elements of a key or a value */
    TEAM_ROWS = 2,  /* of a matrix, that a team takes in products of few tokens; an even number */
    TILE_ROWS = 128,
    TILE_TOKENS = 32,
};

/* What becomes of a result: out = result, out += result, out = activation(result), or out = activation(out) * result.
 * A result is what was summed up, plus its bias, times a scale. */
enum { STORE = 0, ADD = 1, ACTIVATE = 2, GATE = 3 };

/* Up to three matrices, whose rows stand one after another, times some tokens' vectors. */
typedef struct multiply_args {
    int rows[3]; /* of each matrix; 0: there is none */
    int row_bytes[3];
    int offset[3]; /* where in its buffer each begins, in bytes */
    int type[3];   /* which of the kernel's types each has, 0.. */
    int n;         /* columns */
    int gated;     /* activation(first matrix) * second, row by row; mode is then ACTIVATE */
    int mode;      /* not GATE */
    int gelu;      /* the activation: gelu, or silu */
    int has_bias;  /* [all rows] */
    int x_stride, out_stride;
    int first_x, first_out; /* the first token's row of each */
    int n_tokens;
    float epsilon; /* of the norm, in the normed kernels */
    float scale;
} multiply_args;

/* One matrix times a batch, by tiles of TILE_ROWS x TILE_TOKENS. */
typedef struct tile_args {
    int rows, row_bytes, offset;
    int n; /* columns */
    int mode, gelu;
    int has_bias, bias_start; /* the first row's place in the biases */
    int out_start;            /* and in a row of out */
    int x_stride, out_stride;
    int first_x, first_out; /* the first token's row of each */
    int n_tokens;
    float scale;
} tile_args;

typedef struct embed_args {
    int row_bytes, offset;
    int n, out_stride;
    int mode; /* STORE or ADD */
    float scale;
} embed_args;

typedef struct norm_args {
    int n, stride; /* of x and out */
    int first_x, first_out;
    int centred;  /* LayerNorm, or RMS norm */
    int mode;     /* STORE or ADD */
    int has_bias; /* behind the weights */
    float epsilon;
    float scale; /* of the result */
} norm_args;

/* Rows of queries, and behind them rows of keys, in the row of a token; the weights of both in this order, one for all rows
 * or for `each` its own. */
typedef struct norm_qk_args {
    int query_rows, query_length, key_length; /* a row's */
    int each;
    int stride;
    int centred;
    float epsilon;
} norm_qk_args;

/* qkv: a row holds a token's queries, keys and values. */
typedef struct rope_args {
    int n_heads, n_kv_heads, key_length, value_length;
    int n_pairs;       /* of a head, that are rotated: */
    int halves;        /* elements j and j + n_pairs, or 2j and 2j + 1 */
    int n_chunks;      /* of a head, in the cache */
    int stride;        /* of qkv */
    float scale;       /* of the queries, */
    float temperature; /* times 1 + this * log(floor(position / temperature_length) + 1) */
    int temperature_length;
} rope_args;

typedef struct attention_args {
    int n_heads, n_kv_heads, key_length, value_length;
    int n_chunks; /* of a head, in the cache */
    int stride, out_stride;
    int first_token, n_tokens;
    int split; /* each chunk by a group of its own, to be merged; n_parts: chunks of a head, in parts */
    int n_parts;
    int window;      /* positions that a query sees, its own among them; 0: all up to it */
    int first_chunk; /* where chunks are split, the first that any query sees */
    float softcap;   /* scores become softcap * tanh(score / softcap); 0: they do not */
} attention_args;

typedef struct copy_args {
    int n;
} copy_args;

typedef struct cap_args {
    int n;
    float softcap;
} cap_args;

typedef struct argmax_args {
    int n;
} argmax_args;

#endif
