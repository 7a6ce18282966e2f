/* Turns the bytes of GGUF files into a checked list of metadata and tensors.
 *
 * Before this, base/file_map provides the bytes. After it, text/ makes a tokenizer from the metadata, and model/ finds
 * the tensors, whose data stay in the file. Later code need not check again that they lie inside the file.
 *
 * The format is the GGUF specification's (github.com/ggml-org/ggml, docs/gguf.md); docs/01-gguf.md has a drawing:
 *
 *   header | metadata | tensor table | padding to the alignment | tensor data */
#include "gguf/gguf.h"

#include "base/checked.h"
#include "base/error.h"
#include "base/file_map.h"
#include "gguf/foreign.h"
#include "gguf/metadata.h"
#include "gguf/quant_types.h"

#include <ctype.h>
#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define TENSOR_NAME_LIMIT      1024
#define TENSOR_ENTRY_MIN_BYTES 33 /* name: length 8, text 1; n_dims 4; a dimension 8; type 4; offset 8 */
#define DEFAULT_ALIGNMENT      32
#define LEAST_ALIGNMENT        8 /* of the specification */
#define LARGEST_ALIGNMENT      (1u << 20)

typedef struct gguf_part {
    const char *path;
    file_map map;
    uint32_t version;
    uint32_t alignment;
    metadata metadata;
    reader in; /* while loading: where to read next */
    size_t n_tensors;
    cllm_tensor *tensors; /* [n_tensors], a part of the list of all tensors */
} gguf_part;

struct cllm_gguf {
    arena memory;
    bool borrowed; /* the caller owns the bytes of parts[0] */
    uint32_t n_parts;
    gguf_part *parts; /* [n_parts] */
    uint64_t n_bytes;
    size_t n_tensors;
    cllm_tensor *tensors; /* [n_tensors], of all parts in order */
    name_index tensor_names;
    bool *is_read; /* [metadata] for cllm_gguf_is_read */
    bool *found;   /* [metadata] for a view: set by its typed look-ups; NULL: not a view */
    char note[sizeof(((cllm_error *)0)->message)];
};

static cllm_status no_memory(cllm_error *err) {
    return error_set(err, CLLM_ERR_MEMORY, "no memory for the file's table of contents");
}

/* ------------------------------------------------------------------------------------- header and metadata */

static cllm_status check_version(uint32_t version, cllm_error *err) {
    if (version == 2 || version == 3) return CLLM_OK;
    if (version == 1)
        return gguf_fault(err, CLLM_ERR_UNSUPPORTED, "", 4,
                          "GGUF version 1 is not supported, only 2 and 3: convert the original model again");
    if (version != 0 && (version & 0xffff) == 0)
        return gguf_fault(err, CLLM_ERR_UNSUPPORTED, "", 4,
                          "a big-endian GGUF file; only little-endian ones are supported");
    return gguf_fault(err, CLLM_ERR_UNSUPPORTED, "", 4, "GGUF version %" PRIu32 " is not supported, only 2 and 3",
                      version);
}

static cllm_status read_alignment(gguf_part *part, cllm_error *err) {
    static const char key[] = "general.alignment";
    part->alignment = DEFAULT_ALIGNMENT;
    const name_entry *entry;
    const cllm_value *value = metadata_find(&part->metadata, key, &entry);
    if (!value) return CLLM_OK;
    if (value->type != CLLM_UINT32)
        return gguf_fault(err, CLLM_ERR_FORMAT, key, entry->offset, "a value of type %s, must be uint32",
                          cllm_value_type_name(value->type));
    uint64_t alignment = value->u;
    if (alignment < LEAST_ALIGNMENT || alignment > LARGEST_ALIGNMENT || (alignment & (alignment - 1)) != 0)
        return gguf_fault(err, CLLM_ERR_FORMAT, key, entry->offset,
                          "value is %" PRIu64 ", must be a power of two from %d to %u", alignment, LEAST_ALIGNMENT,
                          LARGEST_ALIGNMENT);
    part->alignment = (uint32_t)alignment;
    return CLLM_OK;
}

/* Read everything before the tensor table. Then part->in is at the table. */
static cllm_status read_header(gguf_part *part, arena *memory, cllm_error *err) {
    reader *in = &part->in;
    *in = (reader){.bytes = part->map.bytes, .size = part->map.size};
    const size_t n_magic = in->size < 4 ? (size_t)in->size : 4; /* a truncated file may have fewer */
    if (n_magic > 0 && memcmp(in->bytes, "GGUF", n_magic) != 0) return refuse_foreign(in->bytes, in->size, err);
    reader_take(in, 4);
    part->version = reader_u32(in);
    cllm_status status = in->failed ? CLLM_OK : check_version(part->version, err);
    if (status != CLLM_OK) return status;

    uint64_t n_tensors = reader_u64(in);
    uint64_t n_metadata = reader_u64(in);
    if (in->failed) return gguf_fault(err, CLLM_ERR_FORMAT, "", in->position, "the file ends within its header");
    if (n_tensors > reader_left(in) / TENSOR_ENTRY_MIN_BYTES)
        return gguf_fault(err, CLLM_ERR_FORMAT, "", 8,
                          "%" PRIu64 " tensors cannot fit in the %" PRIu64 " bytes left in the file: is it complete?",
                          n_tensors, reader_left(in));
    if (n_metadata > reader_left(in) / METADATA_PAIR_MIN_BYTES)
        return gguf_fault(err, CLLM_ERR_FORMAT, "", 16,
                          "%" PRIu64 " metadata keys cannot fit in the %" PRIu64 " bytes left in the file", n_metadata,
                          reader_left(in));
    part->n_tensors = (size_t)n_tensors;
    status = metadata_read(in, n_metadata, memory, &part->metadata, err);
    return status == CLLM_OK ? read_alignment(part, err) : status;
}

/* ------------------------------------------------------------------------------------------ tensor table */

shape_text gguf_shape_text(const uint64_t *shape, uint32_t n_dims) {
    shape_text shown = {""};
    size_t used = 0;
    for (uint32_t i = 0; i < n_dims && used < sizeof shown.text; i++)
        used += (size_t)snprintf(shown.text + used, sizeof shown.text - used, "%s%" PRIu64, i ? ", " : "", shape[i]);
    return shown;
}

static cllm_status refuse_type(const cllm_tensor *tensor, uint64_t entry_offset, cllm_error *err) {
    const removed_type *removed = quant_type_removed((uint32_t)tensor->type);
    if (removed)
        return gguf_fault(err, CLLM_ERR_UNSUPPORTED, tensor->name, entry_offset,
                          "GGUF no longer has the tensor type %s: use the model's %s file", removed->name,
                          removed->instead);
    return gguf_fault(err, CLLM_ERR_UNSUPPORTED, tensor->name, entry_offset,
                      "unknown tensor type %" PRIu32
                      ", perhaps of a newer program: use the model in another quantization",
                      (uint32_t)tensor->type);
}

/* Compute a tensor's bytes from its shape and type. */
static cllm_status measure_tensor(cllm_tensor *tensor, uint64_t entry_offset, cllm_error *err) {
    const shape_text shape = gguf_shape_text(tensor->shape, tensor->n_dims);
    const quant_layout *layout = quant_type_layout((uint32_t)tensor->type);
    if (!layout) return refuse_type(tensor, entry_offset, err);
    uint64_t n_elements = 1;
    for (int i = 0; i < 4; i++) {
        if (tensor->shape[i] == 0)
            return gguf_fault(err, CLLM_ERR_FORMAT, tensor->name, entry_offset, "shape [%s] has a zero dimension",
                              shape.text);
        if (!checked_mul(n_elements, tensor->shape[i], &n_elements))
            return gguf_fault(err, CLLM_ERR_FORMAT, tensor->name, entry_offset, "shape [%s] has 2^64 elements or more",
                              shape.text);
    }
    if (tensor->shape[0] % layout->block_elements != 0)
        return gguf_fault(err, CLLM_ERR_FORMAT, tensor->name, entry_offset,
                          "shape [%s] has rows that are not whole blocks of %s, which hold %" PRIu32 " elements",
                          shape.text, layout->name, layout->block_elements);
    if (!checked_mul(n_elements / layout->block_elements, layout->block_bytes, &tensor->n_bytes))
        return gguf_fault(err, CLLM_ERR_FORMAT, tensor->name, entry_offset, "shape [%s] of %s has 2^64 bytes or more",
                          shape.text, layout->name);
    return CLLM_OK;
}

/* Read one entry. tensor->offset stays relative to the start of the data. */
static cllm_status read_tensor(reader *in, uint64_t number, arena *memory, cllm_tensor *tensor, cllm_error *err) {
    uint64_t start = in->position;
    cllm_status status = gguf_read_name(in, "tensor", number, TENSOR_NAME_LIMIT, memory, &tensor->name, err);
    if (status != CLLM_OK) return status;
    tensor->n_dims = reader_u32(in);
    if (!in->failed && (tensor->n_dims < 1 || tensor->n_dims > 4))
        return gguf_fault(err, CLLM_ERR_FORMAT, tensor->name, start, "%" PRIu32 " dimensions, must be 1 to 4",
                          tensor->n_dims);
    for (uint32_t i = 0; i < 4; i++) tensor->shape[i] = i < tensor->n_dims ? reader_u64(in) : 1;
    tensor->type = (int32_t)reader_u32(in);
    tensor->offset = reader_u64(in);
    if (in->failed)
        return gguf_fault(err, CLLM_ERR_FORMAT, tensor->name, in->position,
                          "the file ends within the tensor's entry in the table");
    return measure_tensor(tensor, start, err);
}

/* Turn the tensor's offset in the data into an offset in the file, and set its pointer. */
static cllm_status place_tensor(const gguf_part *part, uint64_t data_start, uint64_t entry_offset, cllm_tensor *tensor,
                                cllm_error *err) {
    uint64_t relative = tensor->offset, end;
    if (relative % part->alignment != 0)
        return gguf_fault(err, CLLM_ERR_FORMAT, tensor->name, entry_offset,
                          "data offset %" PRIu64 " is not a multiple of the file's alignment, %" PRIu32, relative,
                          part->alignment);
    if (!checked_add(data_start, relative, &tensor->offset) || !checked_add(tensor->offset, tensor->n_bytes, &end) ||
        end > part->map.size)
        return gguf_fault(err, CLLM_ERR_FORMAT, tensor->name, entry_offset,
                          "its data (size %" PRIu64 ", at offset %" PRIu64
                          " of the tensor data) go past the end of the file, which has %" PRIu64
                          " bytes; is the file complete?",
                          tensor->n_bytes, relative, part->map.size);
    tensor->data = part->map.bytes + tensor->offset;
    return CLLM_OK;
}

static int compare_offsets(const void *a, const void *b) {
    uint64_t left = (*(const cllm_tensor *const *)a)->offset, right = (*(const cllm_tensor *const *)b)->offset;
    return (left > right) - (left < right);
}

static cllm_status refuse_overlaps(const gguf_part *part, cllm_error *err) {
    if (part->n_tensors < 2) return CLLM_OK;
    const cllm_tensor **in_file_order = malloc(part->n_tensors * sizeof *in_file_order);
    if (!in_file_order) return no_memory(err);
    for (size_t i = 0; i < part->n_tensors; i++) in_file_order[i] = &part->tensors[i];
    qsort(in_file_order, part->n_tensors, sizeof *in_file_order, compare_offsets);
    cllm_status status = CLLM_OK;
    for (size_t i = 1; i < part->n_tensors && status == CLLM_OK; i++) {
        const cllm_tensor *before = in_file_order[i - 1], *tensor = in_file_order[i];
        if (tensor->offset - before->offset < before->n_bytes)
            status = gguf_fault(err, CLLM_ERR_FORMAT, tensor->name, tensor->offset,
                                "its data overlap those of %.100s, which end at %" PRIu64, before->name,
                                before->offset + before->n_bytes);
    }
    free(in_file_order);
    return status;
}

/* Read the tensor table of a part, and find the data. names: out, this part's entries in the index of all names, not
 * sorted. first: index of this part's first tensor. */
static cllm_status read_tensors(gguf_part *part, uint32_t file, arena *memory, name_entry *names, size_t first,
                                cllm_error *err) {
    for (size_t i = 0; i < part->n_tensors; i++) {
        uint64_t start = part->in.position;
        part->tensors[i].file = file;
        cllm_status status = read_tensor(&part->in, i, memory, &part->tensors[i], err);
        if (status != CLLM_OK) return status;
        names[i] = (name_entry){.name = part->tensors[i].name, .index = first + i, .offset = start};
    }
    uint64_t unit = part->alignment;
    uint64_t data_start = (part->in.position + unit - 1) / unit * unit; /* cannot overflow: files are much smaller */
    for (size_t i = 0; i < part->n_tensors; i++) {
        cllm_status status = place_tensor(part, data_start, names[i].offset, &part->tensors[i], err);
        if (status != CLLM_OK) return status;
    }
    return refuse_overlaps(part, err);
}

/* ------------------------------------------------------------------------------------------- split files */

static const char split_suffix[] = "-00001-of-00001.gguf"; /* any digits are allowed here */
#define SPLIT_SUFFIX_LENGTH (sizeof split_suffix - 1)

typedef struct part_name {
    uint32_t number, count; /* part `number`, from 1, of `count` */
} part_name;

/* Find out from a file's name which part of a split model it is. 1 of 1: the name is not that of a part. */
static part_name parse_split_name(const char *path) {
    const part_name whole = {1, 1};
    size_t length = strlen(path);
    if (length < SPLIT_SUFFIX_LENGTH) return whole;
    const char *suffix = path + length - SPLIT_SUFFIX_LENGTH;
    for (size_t i = 0; i < SPLIT_SUFFIX_LENGTH; i++)
        if (isdigit((unsigned char)split_suffix[i]) ? !isdigit((unsigned char)suffix[i]) : suffix[i] != split_suffix[i])
            return whole;
    const part_name name = {(uint32_t)strtoul(suffix + 1, NULL, 10), (uint32_t)strtoul(suffix + 10, NULL, 10)};
    return name.number < 1 || name.number > name.count ? whole : name;
}

/* The path of another part. path: one that parse_split_name recognizes. NULL: no memory. */
static const char *split_path(arena *memory, const char *path, uint32_t number, uint32_t count) {
    size_t length = strlen(path), prefix = length - SPLIT_SUFFIX_LENGTH;
    char *part = arena_string(memory, path, length);
    if (part) /* `% 100000` changes nothing: it tells the compiler that the numbers have at most five digits */
        snprintf(part + prefix, SPLIT_SUFFIX_LENGTH + 1, "-%05" PRIu32 "-of-%05" PRIu32 ".gguf", number % 100000,
                 count % 100000);
    return part;
}

/* Store the path of parts[0]. If its name is that of the first of several parts, store the paths of the others too.
 * n_parts stays 0. */
static cllm_status name_parts(cllm_gguf *gguf, const char *path, part_name *name, cllm_error *err) {
    *name = parse_split_name(path);
    const uint32_t n = name->number == 1 ? name->count : 1;
    gguf->parts = arena_alloc(&gguf->memory, n, sizeof *gguf->parts);
    if (!gguf->parts) return no_memory(err);
    for (uint32_t i = 0; i < n; i++) {
        gguf->parts[i].path = i > 0 ? split_path(&gguf->memory, path, i + 1, name->count)
                                    : arena_string(&gguf->memory, path, strlen(path));
        if (!gguf->parts[i].path) return no_memory(err);
    }
    return CLLM_OK;
}

/* Add up the bytes of the first `count` parts, for progress. Errors: IO, if one is missing. */
static cllm_status measure_parts(const cllm_gguf *gguf, uint32_t count, uint64_t *total, cllm_error *err) {
    for (uint32_t i = 0; i < count; i++) {
        struct stat info;
        if (stat(gguf->parts[i].path, &info) != 0)
            return error_set(err, CLLM_ERR_IO, "%s: cannot open part %" PRIu32 " of %" PRIu32 ": %s",
                             gguf->parts[i].path, i + 1, count, strerror(errno));
        *total += (uint64_t)info.st_size;
    }
    return CLLM_OK;
}

/* Read the next part, whose bytes are there already, up to its tensor table. */
static cllm_status add_part(cllm_gguf *gguf, cllm_error *err) {
    gguf_part *part = &gguf->parts[gguf->n_parts++];
    gguf->n_bytes += part->map.size;
    cllm_status status = read_header(part, &gguf->memory, err);
    if (status != CLLM_OK) error_prefix(err, part->path);
    return status;
}

/* Progress of one part; before, total: as in progress.h. options: or NULL. */
static progress progress_of(const cllm_load_options *options, uint64_t before, uint64_t total) {
    if (!options) return (progress){0};
    return (progress){.call = options->progress, .user = options->user, .before = before, .total = total};
}

/* Open the next part, up to its tensor table. total: bytes of all parts, for progress; 0: only this part counts. */
static cllm_status open_part(cllm_gguf *gguf, const cllm_load_options *options, uint64_t total, cllm_error *err) {
    gguf_part *part = &gguf->parts[gguf->n_parts];
    const progress p = progress_of(options, gguf->n_bytes, total);
    cllm_status status = file_map_open(part->path, options && options->no_mmap, &p, &part->map, err);
    return status == CLLM_OK ? add_part(gguf, err) : status;
}

/* How many parts the metadata of a part say there are. entry: out, the entry of that key, if it exists. */
static uint64_t split_count(const gguf_part *part, const name_entry **entry) {
    uint64_t count;
    const cllm_value *value = metadata_find(&part->metadata, "split.count", entry);
    return value && gguf_value_as_u64(value, &count) && count > 1 ? count : 1;
}

/* Open the file. Open other parts only if its contents mention them, because a model in one file may be named like a
 * part. */
static cllm_status open_parts(cllm_gguf *gguf, const char *path, const cllm_load_options *options, cllm_error *err) {
    part_name name;
    cllm_status status = name_parts(gguf, path, &name, err);
    if (status != CLLM_OK) return status;
    cllm_error absent;
    uint64_t total = 0;
    const cllm_status measured = name.number == 1 ? measure_parts(gguf, name.count, &total, &absent) : CLLM_OK;
    if (measured != CLLM_OK) total = 0;
    status = open_part(gguf, options, total, err);
    if (status != CLLM_OK) return status;
    if (split_count(&gguf->parts[0], NULL) == 1) { /* no other parts: if progress expected them, report the end */
        const bool waited_for = !gguf->parts[0].map.mapped && options && options->progress && total > gguf->n_bytes;
        if (waited_for && !options->progress(options->user, total, total))
            return error_set(err, CLLM_ERR_CANCELLED, "loading was cancelled");
        return CLLM_OK;
    }
    if (name.number > 1) {
        const char *first = split_path(&gguf->memory, path, 1, name.count);
        return error_set(err, CLLM_ERR_UNSUPPORTED, "%s: this is part %" PRIu32 " of a split model; open %s instead",
                         path, name.number, first ? first : "the first part");
    }
    if (measured != CLLM_OK) {
        if (err) *err = absent;
        return measured;
    }
    while (status == CLLM_OK && gguf->n_parts < name.count) status = open_part(gguf, options, total, err);
    return status;
}

static cllm_status check_split_key(const gguf_part *part, const char *key, uint64_t expected, cllm_error *err) {
    uint64_t number;
    const name_entry *entry;
    const cllm_value *value = metadata_find(&part->metadata, key, &entry);
    if (!value)
        return error_set_at(err, CLLM_ERR_FORMAT, key, CLLM_NO_OFFSET,
                            "%s: key is missing, which every part of a split model needs", key);
    if (!gguf_value_as_u64(value, &number))
        return gguf_fault(err, CLLM_ERR_FORMAT, key, entry->offset, "must be an integer that is not negative");
    if (number != expected)
        return gguf_fault(err, CLLM_ERR_FORMAT, key, entry->offset,
                          "value is %" PRIu64 ", must be %" PRIu64 " by the names and contents of the parts", number,
                          expected);
    return CLLM_OK;
}

/* Check that a part's keys agree with the names and contents of the files. */
static cllm_status check_split(const cllm_gguf *gguf, uint32_t number, cllm_error *err) {
    const gguf_part *part = &gguf->parts[number];
    if (gguf->n_parts == 1) {
        const name_entry *entry;
        const uint64_t count = split_count(part, &entry);
        if (count == 1) return CLLM_OK;
        return gguf_fault(err, CLLM_ERR_FORMAT, "split.count", entry->offset,
                          "this is one of %" PRIu64 " parts of a split model, so its name has to end in "
                          "-00001-of-%05" PRIu64 ".gguf",
                          count, count);
    }
    cllm_status status = check_split_key(part, "split.no", number, err);
    if (status == CLLM_OK) status = check_split_key(part, "split.count", gguf->n_parts, err);
    if (status == CLLM_OK) status = check_split_key(part, "split.tensors.count", gguf->n_tensors, err);
    return status;
}

/* ------------------------------------------------------------------------------------------ open and close */

/* Read what comes after the headers of all parts. options: or NULL. */
static cllm_status load(cllm_gguf *gguf, const cllm_load_options *options, cllm_error *err) {
    const gguf_part *at_fault = NULL; /* the part that an error is about */
    cllm_status status = CLLM_OK;
    for (uint32_t i = 0; i < gguf->n_parts; i++) gguf->n_tensors += gguf->parts[i].n_tensors;
    for (uint32_t i = 0; i < gguf->n_parts; i++) {
        at_fault = &gguf->parts[i];
        status = check_split(gguf, i, err);
        if (status != CLLM_OK) goto failed;
    }
    at_fault = &gguf->parts[0]; /* its metadata are the model's */
    if (options) {
        status =
            metadata_override(&gguf->parts[0].metadata, options->overrides, options->n_overrides, &gguf->memory, err);
        if (status != CLLM_OK) goto failed;
    }
    gguf->is_read = arena_alloc(&gguf->memory, cllm_gguf_n_metadata(gguf), sizeof *gguf->is_read);
    gguf->tensors = arena_alloc(&gguf->memory, gguf->n_tensors, sizeof *gguf->tensors);
    gguf->tensor_names.entries = arena_alloc(&gguf->memory, gguf->n_tensors, sizeof *gguf->tensor_names.entries);
    if (!gguf->is_read || !gguf->tensors || !gguf->tensor_names.entries) {
        status = no_memory(err);
        goto failed;
    }
    size_t first = 0;
    for (uint32_t i = 0; i < gguf->n_parts; i++) {
        gguf_part *part = &gguf->parts[i];
        at_fault = part;
        part->tensors = gguf->tensors + first;
        status = read_tensors(part, i, &gguf->memory, gguf->tensor_names.entries + first, first, err);
        if (status != CLLM_OK) goto failed;
        first += part->n_tensors;
    }
    gguf->tensor_names.count = gguf->n_tensors;
    const name_entry *duplicate = name_index_sort(&gguf->tensor_names);
    if (duplicate) {
        at_fault = &gguf->parts[gguf->tensors[duplicate->index].file];
        status = gguf_fault(err, CLLM_ERR_FORMAT, duplicate->name, duplicate->offset, "the file has this tensor twice");
    }

failed:
    if (status != CLLM_OK) error_prefix(err, at_fault->path);
    return status;
}

/* Write a note if a file was read into memory because it could not be mapped: that takes memory and time. */
static void note_reading(cllm_gguf *gguf) {
    cllm_error line = {.message = ""}; /* keeps the note to one safe line */
    for (uint32_t i = 0; i < gguf->n_parts && !*line.message; i++)
        if (gguf->parts[i].map.refused)
            error_set(&line, CLLM_OK, "%s: the system cannot map this file (%s), so it was read into memory",
                      gguf->parts[i].path, strerror(gguf->parts[i].map.refused));
    memcpy(gguf->note, line.message, sizeof gguf->note);
}

/* Hand the opened file to the caller, or close it after an error. */
static cllm_status hand_over(cllm_gguf *gguf, cllm_status status, cllm_gguf **out) {
    if (status != CLLM_OK) {
        cllm_gguf_close(gguf);
        gguf = NULL;
    }
    *out = gguf;
    return status;
}

cllm_status cllm_gguf_open(const char *path, const cllm_load_options *options, cllm_gguf **out, cllm_error *err) {
    *out = NULL;
    cllm_gguf *gguf = calloc(1, sizeof *gguf);
    if (!gguf) return no_memory(err);
    cllm_status status = open_parts(gguf, path, options, err);
    if (status == CLLM_OK) status = load(gguf, options, err);
    note_reading(gguf);
    return hand_over(gguf, status, out);
}

cllm_status gguf_open_memory(const void *bytes, size_t n_bytes, cllm_gguf **out, cllm_error *err) {
    *out = NULL;
    cllm_gguf *gguf = calloc(1, sizeof *gguf);
    if (!gguf) return no_memory(err);
    gguf->borrowed = true;
    part_name name;
    cllm_status status = name_parts(gguf, "memory", &name, err);
    if (status == CLLM_OK) {
        gguf->parts[0].map = (file_map){.bytes = bytes, .size = n_bytes};
        status = add_part(gguf, err);
    }
    if (status == CLLM_OK) status = load(gguf, NULL, err);
    return hand_over(gguf, status, out);
}

void cllm_gguf_close(cllm_gguf *gguf) {
    if (!gguf) return;
    for (uint32_t i = 0; i < gguf->n_parts && !gguf->borrowed; i++) file_map_close(&gguf->parts[i].map);
    arena_free(&gguf->memory);
    free(gguf);
}

/* A view shares everything except the struct itself, which has its own `found`. */
cllm_status gguf_view_create(const cllm_gguf *gguf, bool *found, cllm_gguf **out, cllm_error *err) {
    *out = malloc(sizeof **out);
    if (!*out) return no_memory(err);
    **out = *gguf;
    (*out)->found = found;
    return CLLM_OK;
}

void gguf_view_destroy(cllm_gguf *view) { free(view); }

bool *gguf_is_read(cllm_gguf *gguf) { return gguf->is_read; }

cllm_status gguf_prefetch(const cllm_gguf *gguf, const cllm_load_options *options, cllm_error *err) {
    cllm_status status = CLLM_OK;
    uint64_t done = 0;
    for (uint32_t i = 0; i < gguf->n_parts && status == CLLM_OK; i++) {
        const progress p = progress_of(options, done, gguf->n_bytes);
        status = file_map_prefetch(&gguf->parts[i].map, &p, err);
        done += gguf->parts[i].map.size;
    }
    return status;
}

/* ----------------------------------------------------------------------------------------------- look-ups */

uint32_t cllm_gguf_version(const cllm_gguf *gguf) { return gguf->parts[0].version; }
uint32_t cllm_gguf_alignment(const cllm_gguf *gguf) { return gguf->parts[0].alignment; }
uint32_t cllm_gguf_n_files(const cllm_gguf *gguf) { return gguf->n_parts; }
uint64_t cllm_gguf_n_bytes(const cllm_gguf *gguf) { return gguf->n_bytes; }
size_t cllm_gguf_n_metadata(const cllm_gguf *gguf) { return gguf->parts[0].metadata.keys.count; }
size_t cllm_gguf_n_tensors(const cllm_gguf *gguf) { return gguf->n_tensors; }

const char *cllm_gguf_note(const cllm_gguf *gguf) { return gguf->note; }

const char *cllm_gguf_path_of(const cllm_gguf *gguf, const void *address) {
    for (uint32_t i = 0; i < gguf->n_parts; i++) {
        const file_map *map = &gguf->parts[i].map;
        if ((uintptr_t)address - (uintptr_t)map->bytes < map->size) return gguf->parts[i].path;
    }
    return NULL;
}

bool gguf_is_mapped(const cllm_gguf *gguf) { return gguf->parts[0].map.mapped; }

const cllm_metadata *cllm_gguf_metadata(const cllm_gguf *gguf, size_t index) {
    return &gguf->parts[0].metadata.pairs[index];
}

const cllm_tensor *cllm_gguf_tensor(const cllm_gguf *gguf, size_t index) { return &gguf->tensors[index]; }

const cllm_value *cllm_gguf_find(const cllm_gguf *gguf, const char *key) {
    return metadata_find(&gguf->parts[0].metadata, key, NULL);
}

static const name_entry *entry_of(const cllm_gguf *gguf, size_t index) {
    return name_index_find(&gguf->parts[0].metadata.keys, cllm_gguf_metadata(gguf, index)->key);
}

bool cllm_gguf_is_overridden(const cllm_gguf *gguf, size_t index) {
    return entry_of(gguf, index)->offset == CLLM_NO_OFFSET;
}

bool cllm_gguf_is_read(const cllm_gguf *gguf, size_t index) { return gguf->is_read[index]; }

const cllm_tensor *cllm_gguf_find_tensor(const cllm_gguf *gguf, const char *name) {
    const name_entry *entry = name_index_find(&gguf->tensor_names, name);
    return entry ? &gguf->tensors[entry->index] : NULL;
}

/* ------------------------------------------------------------------------------------------ typed look-ups */

/* The result of a look-up: a value and its key's entry. */
typedef struct found {
    const cllm_value *value; /* NULL: the key is absent, which is allowed */
    const name_entry *entry;
} found;

static cllm_status look_up(const cllm_gguf *gguf, const char *key, gguf_need need, found *out, cllm_error *err) {
    out->value = metadata_find(&gguf->parts[0].metadata, key, &out->entry);
    if (out->value && gguf->found) gguf->found[out->entry->index] = true;
    if (out->value || need == GGUF_OPTIONAL) return CLLM_OK;
    return error_set_at(err, CLLM_ERR_FORMAT, key, CLLM_NO_OFFSET, "%s: key is missing from the file's metadata", key);
}

static cllm_status wrong_type(const char *key, found at, const char *wanted, cllm_error *err) {
    return gguf_fault(err, CLLM_ERR_FORMAT, key, at.entry->offset, "a value of type %s, must be %s",
                      cllm_value_type_name(at.value->type), wanted);
}

cllm_status gguf_get_u32(const cllm_gguf *gguf, const char *key, gguf_need need, uint32_t *out, cllm_error *err) {
    found at;
    cllm_status status = look_up(gguf, key, need, &at, err);
    if (status != CLLM_OK || !at.value) return status;
    uint64_t number;
    if (!gguf_value_as_u64(at.value, &number)) return wrong_type(key, at, "an integer that is not negative", err);
    if (number > UINT32_MAX)
        return gguf_fault(err, CLLM_ERR_FORMAT, key, at.entry->offset, "value is %" PRIu64 ", must be at most %" PRIu32,
                          number, UINT32_MAX);
    *out = (uint32_t)number;
    return CLLM_OK;
}

cllm_status gguf_get_f32(const cllm_gguf *gguf, const char *key, gguf_need need, float *out, cllm_error *err) {
    found at;
    cllm_status status = look_up(gguf, key, need, &at, err);
    if (status != CLLM_OK || !at.value) return status;
    if (at.value->type != CLLM_FLOAT32 && at.value->type != CLLM_FLOAT64)
        return wrong_type(key, at, "float32 or float64", err);
    if (!(fabs(at.value->f) <= (double)FLT_MAX))
        return gguf_fault(err, CLLM_ERR_FORMAT, key, at.entry->offset, "value is %g, must be finite and fit a float32",
                          at.value->f);
    *out = (float)at.value->f;
    return CLLM_OK;
}

cllm_status gguf_get_bool(const cllm_gguf *gguf, const char *key, gguf_need need, bool *out, cllm_error *err) {
    found at;
    cllm_status status = look_up(gguf, key, need, &at, err);
    if (status != CLLM_OK || !at.value) return status;
    if (at.value->type != CLLM_BOOL) return wrong_type(key, at, "bool", err);
    *out = at.value->b;
    return CLLM_OK;
}

cllm_status gguf_get_string(const cllm_gguf *gguf, const char *key, gguf_need need, cllm_string *out, cllm_error *err) {
    found at;
    cllm_status status = look_up(gguf, key, need, &at, err);
    if (status != CLLM_OK || !at.value) return status;
    if (at.value->type != CLLM_STRING) return wrong_type(key, at, "string", err);
    *out = at.value->string;
    return CLLM_OK;
}

cllm_status gguf_get_array(const cllm_gguf *gguf, const char *key, gguf_need need, cllm_value_type element_type,
                           cllm_array *out, cllm_error *err) {
    found at;
    cllm_status status = look_up(gguf, key, need, &at, err);
    if (status != CLLM_OK || !at.value) return status;
    if (at.value->type != CLLM_ARRAY) return wrong_type(key, at, "array", err);
    if (at.value->array.element_type != element_type)
        return gguf_fault(err, CLLM_ERR_FORMAT, key, at.entry->offset, "an array of %s, must be one of %s",
                          cllm_value_type_name(at.value->array.element_type), cllm_value_type_name(element_type));
    *out = at.value->array;
    return CLLM_OK;
}
