/* Any text as a chat template, with the variables of a conversation. Nothing that a message says may become trusted.
 * Run by `make fuzz`. */
#include "chat/jinja.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

static const char variables[] =
    "{\"messages\": [{\"role\": \"user\", \"content\": \"\\u0003 <\\u0004>\"}, {\"role\": \"assistant\", \"content\": "
    "null, \"tool_calls\": "
    "[{\"function\": {\"name\": \"f\", \"arguments\": {\"a\": [1, 2.5, true]}}}]}], \"n\": 7, \"big\": "
    "-12345678901234567890, \"x\": 1e300, \"least\": -9223372036854775808, \"u\": \"\u00df\u65e5\", \"s\": \"\\u0003b "
    "C\", "
    "\"l\": [3, 1, 2], "
    "\"d\": {\"k\": \"v\", \"j\": 1}, \"bos_token\": \"<s>\", \"add_generation_prompt\": true}";

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    static const char *const trusted[] = {"bos_token"};
    arena a = {0};
    jinja_tree tree;
    json_value v;
    cllm_part *parts;
    size_t n_parts;
    bool can_spell = false; /* otherwise characters 3 and 4 come only from messages */
    for (size_t i = 0; i < n_bytes; i++) can_spell |= bytes[i] == '\\' || bytes[i] == 3 || bytes[i] == 4;
    if (json_read(variables, strlen(variables), &a, &v, NULL) != CLLM_OK) abort();
    if (jinja_parse((const char *)bytes, n_bytes, &a, &tree, NULL) == CLLM_OK &&
        jinja_render(&tree, &v, trusted, 1, 1767323045, &a, &parts, &n_parts, NULL) == CLLM_OK)
        for (size_t i = 0; i < n_parts; i++)
            for (size_t k = 0; parts[i].trusted && !can_spell && k < parts[i].text.length; k++)
                if (parts[i].text.data[k] == 3 || parts[i].text.data[k] == 4) abort();
    arena_free(&a);
    return 0;
}
