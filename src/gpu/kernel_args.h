/* The structs behind the buffers of each kernel, shared by the kernel text and the host: 32-bit fields alone, which every
 * compiler lays out alike. A stride is the distance of two tokens' rows in floats; the first token of a launch may have
 * tokens before it in a buffer.
 *
 * What a batch is made of lies in one buffer of ints, the numbers (batch.h). A field that says "where" is an index into it. */
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
    int rows; /* where the numbers of the table's rows are */
    int n, out_stride;
    int mode; /* STORE or ADD */
    float scale;
} embed_args;

typedef struct norm_args {
    int n, stride; /* of x and out */
    int first_x, first_out;
    int centred;  /* LayerNorm, or RMS norm */
    int mode;     /* STORE or ADD */
    int has_bias; /* after the weights */
    float epsilon;
    float scale; /* of the result */
} norm_args;

/* Rows of queries, and after them rows of keys, in the row of a token; the weights of both in this order, one for all rows
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
    int positions;     /* where each token's position is, */
    int pages;         /* and the page that its key and value go to */
    int stride;        /* of qkv */
    float scale;       /* of the queries, */
    float temperature; /* times 1 + this * log(floor(position / temperature_length) + 1) */
    int temperature_length;
} rope_args;

/* What a group does for a key/value head: some queries of one span meet chunks that follow one another. The span's queries are numbered
 * by tokens, and of a token by the heads that share the key/value head. Either the chunks are all that the queries see, and out is
 * written; or it is one of them, of which remains a part for each query: of token t and head h that at part + (t * n_heads + h) * stride. */
typedef struct attention_item {
    int first_query, n_queries; /* the first of this item, and how many the span has */
    int row, out_row;           /* of the span's first token, in qkv and in out */
    int first_chunk, n_chunks;
    int pages;        /* where the pages of these chunks are */
    int part, stride; /* part -1: out is written */
} attention_item;

/* A token whose chunks became parts: n_parts of head h from part + h * stride on. */
typedef struct merge_item {
    int out_row;
    int part, n_parts, stride;
} merge_item;

typedef struct attention_args {
    int n_heads, n_kv_heads, key_length, value_length;
    int stride, out_stride;
    int positions; /* where each row's is, */
    int items;     /* and where these are */
    int window;    /* positions that a query sees, its own among them; 0: all up to it */
    float softcap; /* scores become softcap * tanh(score / softcap); 0: they do not */
} attention_args;

typedef struct merge_args {
    int value_length;
    int out_stride;
    int items; /* where they are */
} merge_args;

/* Some rows of n floats. */
typedef struct gather_args {
    int n;
    int rows; /* where their numbers are */
} gather_args;

/* n floats, the from-th such piece of a buffer, become the to-th of another. */
typedef struct copy_args {
    int n;
    int from, to;
} copy_args;

typedef struct cap_args {
    int n;
    float softcap;
} cap_args;

/* Rows of n logits. */
typedef struct argmax_args {
    int n;
    int first; /* the first row's place among the tokens */
} argmax_args;

#endif
