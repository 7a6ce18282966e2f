/* The structs behind the buffers of each kernel, shared by the kernel text and the host: 32-bit fields alone, which every
 * compiler lays out alike. A stride is the distance of two tokens' rows in floats; the first token of a launch may have
 * tokens before it in a buffer. */
#ifndef GPU_KERNEL_ARGS_H
#define GPU_KERNEL_ARGS_H

enum {
    CHUNK = 256,    /* positions that attention joins with the others as one, as on the CPU */
    QUERIES = 8,    /* that meet a chunk together */
    MAX_HEAD = 256, /* elements of a key or a value */
    TILE_ROWS = 128,
    TILE_TOKENS = 32,
};

/* What becomes of a product: out = product, out += product, or out = silu(out) * product. */
enum { STORE = 0, ADD = 1, GATE = 2 };

/* Up to three matrices, whose rows stand one after another, times some tokens' vectors. */
typedef struct multiply_args {
    int rows[3]; /* of each matrix; 0: there is none */
    int row_bytes[3];
    int offset[3]; /* where in its buffer each begins, in bytes */
    int type[3];   /* which of the kernel's types each has, 0.. */
    int n;         /* columns */
    int gated;     /* silu(first matrix) * second, row by row */
    int mode;      /* STORE or ADD */
    int has_bias;  /* [all rows] */
    int x_stride, out_stride;
    int first_x, first_out; /* the first token's row of each */
    int n_tokens;
    float epsilon; /* of the norm, in the normed kernels */
} multiply_args;

/* One matrix times a batch, by tiles of TILE_ROWS x TILE_TOKENS. */
typedef struct tile_args {
    int rows, row_bytes, offset;
    int n; /* columns */
    int mode;
    int has_bias, bias_start; /* the first row's place in the biases */
    int out_start;            /* and in a row of out */
    int x_stride, out_stride;
    int first_x, first_out; /* the first token's row of each */
    int n_tokens;
} tile_args;

typedef struct embed_args {
    int row_bytes, offset;
    int n, out_stride;
} embed_args;

typedef struct norm_args {
    int n, stride; /* of x and out */
    int first_x, first_out;
    float epsilon;
} norm_args;

/* qkv: a row holds a token's queries, keys and values. */
typedef struct rope_args {
    int n_heads, n_kv_heads, key_length, value_length;
    int n_pairs;  /* of a head, that are rotated */
    int n_chunks; /* of a head, in the cache */
    int stride;   /* of qkv */
    float scale;  /* of the queries: 1 / sqrt(key_length) */
} rope_args;

typedef struct attention_args {
    int n_heads, n_kv_heads, key_length, value_length;
    int n_chunks; /* of a head, in the cache */
    int stride, out_stride;
    int first_token, n_tokens;
    int split; /* each chunk by a group of its own, to be merged; n_parts: chunks of a head, in parts */
    int n_parts;
} attention_args;

typedef struct copy_args {
    int n;
} copy_args;

typedef struct argmax_args {
    int n;
} argmax_args;

#endif
