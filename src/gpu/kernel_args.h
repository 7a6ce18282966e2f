/* The structs of arguments of the kernels, which come after their buffers. Before: forward_gpu.c and batch.c, which
 * fill them. After: the kernel text, which contains this file. All fields have 32 bits, so every compiler lays them out
 * the same way.
 *
 * A stride is the distance from one token's row to the next, in floats. The description of a batch is in one buffer of
 * ints, "the numbers" (batch.h); a comment that says "where" means an index into it. */
#ifndef GPU_KERNEL_ARGS_H
#define GPU_KERNEL_ARGS_H

enum {
    CHUNK = 256,    /* attention computes a result for this many positions, then joins the results, as on the CPU */
    QUERIES = 8,    /* most queries that share one read of a chunk */
    MAX_HEAD = 256, /* most elements of a key or a value */
    TEAM_ROWS = 2,  /* rows of a matrix that a team takes in products of few tokens; an even number */
    TILE_ROWS = 128,
    TILE_TOKENS = 32,
};

/* Where a result goes: out = result, out += result, out = activation(result), or out = activation(out) * result. The
 * result is (sum + bias) * scale. */
enum { STORE = 0, ADD = 1, ACTIVATE = 2, GATE = 3 };

/* Up to three matrices times the vectors of some tokens. The matrices' rows are counted one after another. */
typedef struct multiply_args {
    int rows[3]; /* of each matrix; 0: there is none */
    int row_bytes[3];
    int offset[3]; /* byte of its buffer at which each begins */
    int type[3];   /* the index of its type among the kernel's */
    int n;         /* columns */
    int gated;     /* 1: activation(first matrix) * second, row by row; mode is then ACTIVATE */
    int mode;      /* not GATE */
    int gelu;      /* the activation: 1 GELU, 0 SiLU */
    int has_bias;  /* 1: bias is [all rows] */
    int x_stride, out_stride;
    int first_x, first_out; /* rows of x and out at which the launch begins */
    int n_tokens;
    float epsilon; /* of the norm, in the normed kernels */
    float scale;
} multiply_args;

/* One matrix times a batch, by tiles of TILE_ROWS x TILE_TOKENS. */
typedef struct tile_args {
    int rows, row_bytes, offset;
    int n; /* columns */
    int mode, gelu;
    int has_bias, bias_start; /* index of the first row's bias */
    int out_start;            /* index of the first row's result in a row of out */
    int x_stride, out_stride;
    int first_x, first_out; /* rows of x and out at which the launch begins */
    int n_tokens;
    float scale;
} tile_args;

typedef struct embed_args {
    int row_bytes, offset;
    int rows; /* where the indices of the table's rows are, one for each token */
    int n, out_stride;
    int mode; /* STORE or ADD */
    float scale;
} embed_args;

typedef struct norm_args {
    int n, stride; /* of x and out */
    int first_x, first_out;
    int centred;  /* 1: LayerNorm; 0: RMS norm */
    int mode;     /* STORE or ADD */
    int has_bias; /* 1: the bias follows the weights in their buffer */
    float epsilon;
    float scale; /* of the result */
} norm_args;

/* Norms of queries and keys. A token's row holds query_rows rows of queries, then rows of keys. The weights are those
 * for queries, then those for keys. */
typedef struct norm_qk_args {
    int query_rows, query_length, key_length; /* lengths of one row */
    int each; /* 1: each row has weights of its own; 0: all rows of queries share weights, and so do all of keys */
    int stride;
    int centred;
    float epsilon;
} norm_qk_args;

/* qkv: a row holds a token's queries, keys and values. */
typedef struct rope_args {
    int n_heads, n_kv_heads, key_length, value_length;
    int n_pairs;   /* pairs of elements of a head that are rotated */
    int halves;    /* 1: a pair is elements j and j + n_pairs; 0: 2j and 2j + 1 */
    int positions; /* where the tokens' positions are */
    int pages;     /* where the pages for their keys and values are */
    int stride;    /* of qkv */
    float scale;   /* queries are multiplied by scale * (1 + temperature * log(floor(position / length) + 1)) */
    float temperature;
    int temperature_length; /* `length` in this formula */
} rope_args;

/* The work of a group for a key/value head: up to QUERIES queries of one span, and some consecutive chunks. The queries
 * of a span are numbered token by token; those of a token are the heads that share the key/value head.
 *
 * If the chunks are all that the queries see, the group writes the result to out. Otherwise the item has one chunk, and
 * leaves a part for each query: that of token t and head h has the number part + (t * n_heads + h) * stride. */
typedef struct attention_item {
    int first_query, n_queries; /* the first query of this item, and how many the span has */
    int row, out_row;           /* rows of the span's first token in qkv and out */
    int first_chunk, n_chunks;
    int pages;        /* where the pages of these chunks are */
    int part, stride; /* part -1: the group writes to out */
} attention_item;

/* A token whose chunks became parts. Those of head h are the n_parts parts from part + h * stride on. */
typedef struct merge_item {
    int out_row;
    int part, n_parts, stride;
} merge_item;

typedef struct attention_args {
    int n_heads, n_kv_heads, key_length, value_length;
    int stride, out_stride;
    int positions; /* where the rows' positions are */
    int items;     /* where the attention_items are */
    int window;    /* how many positions a query sees, its own included; 0: all up to its own */
    float softcap; /* scores become softcap * tanh(score / softcap); 0: they stay as they are */
} attention_args;

typedef struct merge_args {
    int value_length;
    int out_stride;
    int items; /* where the merge_items are */
} merge_args;

/* Copy some rows of n floats. */
typedef struct gather_args {
    int n;
    int rows; /* where their indices are */
} gather_args;

/* Copy piece `from` of a buffer to piece `to` of the same one or another. A buffer is a row of pieces of n floats. */
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
    int first; /* index of the first row's result among the tokens */
} argmax_args;

#endif
