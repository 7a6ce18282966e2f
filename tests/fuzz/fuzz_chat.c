/* Any text as the chat template of a model, with a conversation, the structure of its calls and an answer. The byte FF,
 * which no template has, stands between the template and the answer. Run by `make fuzz`. */
#include "read_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

static const char tools[] =
    "[{\"type\": \"function\", \"function\": {\"name\": \"f\", \"parameters\": {\"type\": \"object\", \"properties\": "
    "{\"a\": {\"type\": \"string\"}, \"b\": {\"type\": \"integer\"}, \"c\": {\"enum\": [\"x\", \"y\"]}}, \"required\": "
    "[\"a\"]}}}, {\"name\": \"g\", \"strict\": true}]";

static const char conversation[] =
    "{\"messages\": [{\"role\": \"system\", \"content\": \"s\"}, {\"role\": \"user\", \"content\": \"u\"}, {\"role\": "
    "\"assistant\", \"content\": null, \"reasoning\": \"r\", \"tool_calls\": [{\"id\": \"1\", \"type\": \"function\", "
    "\"function\": {\"name\": \"f\", \"arguments\": \"{\\\"a\\\": \\\"b\\\"}\"}}]}, {\"role\": \"tool\", \"content\": "
    "[{\"type\": \"text\", \"text\": \"t\"}], \"tool_call_id\": \"1\"}, {\"role\": \"assistant\", \"content\": "
    "\"e\"}], "
    "\"continue_final_message\": true}";

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    const uint8_t *end = n_bytes > 0 ? memchr(bytes, 0xFF, n_bytes) : NULL;
    const size_t length = end ? (size_t)(end - bytes) : n_bytes, answer = end ? length + 1 : n_bytes;
    const cllm_chat_options options = {.source = {(const char *)bytes, length}};
    const cllm_call_options calls = {.tools = {tools, sizeof tools - 1}};
    const cllm_string variables = {conversation, sizeof conversation - 1};
    cllm_chat *chat;
    cllm_part *parts;
    size_t n_parts;
    char *structure;
    cllm_preamble preamble;
    if (length == 0 || cllm_chat_create(&options, &chat, NULL) != CLLM_OK) return 0;
    if (cllm_chat_render(chat, &variables, 1, CLLM_RENDER_NO_REASONING, 1767323045, &parts, &n_parts, NULL) == CLLM_OK)
        cllm_free(parts);
    if (cllm_chat_call_structure(chat, &calls, NULL, 0, &structure, &preamble, NULL) == CLLM_OK) cllm_free(structure);
    const char *text = (const char *)bytes + answer;
    read_answer(chat, text, n_bytes - answer, 3, (cllm_string){"", 0});
    read_answer(chat, text, n_bytes - answer, 1, calls.tools);
    cllm_chat_destroy(chat);
    return 0;
}
