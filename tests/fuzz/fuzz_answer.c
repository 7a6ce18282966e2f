/* Any text as an answer: the first byte chooses the template, the second the length of the pieces. Nothing is an error,
 * and the pieces must give what the whole gives. Run by `make fuzz`. */
#include "read_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

#define CALLS(text) "{% for c in m.tool_calls or [] %}" text "{% endfor %}"
#define TEMPLATE(call)                                                                                            \
    "{% for m in messages %}<|{{ m.role }}|>{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>" \
    "{% endif %}{{ m.content }}" CALLS(call) "</s>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
#define KEYS(before, between, after)                                        \
    "{% for k, v in c.function.arguments|items %}" before "{{ k }}" between \
    "{{ v if v is string else v|tojson }}" after "{% endfor %}"
#define F "{{ c.function.name }}"

static const char *const templates[] = {
    TEMPLATE("<call>{{ {'name': c.function.name, 'arguments': c.function.arguments}|tojson }}</call>"),
    TEMPLATE("[CALL]" F "[ARGS]{{ c.function.arguments|tojson }}"),
    TEMPLATE("<call>" F KEYS("<k>", "</k><v>", "</v>") "</call>"),
    TEMPLATE("<call name=\"" F
             "\">" KEYS("<p name=\"", "\" string=\"{{ 'true' if v is string else 'false' }}\">", "</p>") "</call>"),
    TEMPLATE("<call name=\"" F "\">" KEYS("#<", ">", "#</{{ k }}>") "</call>"),
    TEMPLATE("<call>[" F "({% for k, v in c.function.arguments|items %}{{ k }}={{ v|tojson }},{% endfor %})]<end>"),
    TEMPLATE("<call>" F
             "{{ '{' }}{% for k, v in c.function.arguments|items %}{{ k }}:{{ v|tojson }},{% endfor %}}<end>"),
    "{% for m in messages %}<|start|>{{ m.role }}<|channel|>final<|message|>{{ m.content }}<|end|>{% endfor %}",
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content or m.tool_calls[0].function|tojson }}</s>{% endfor %}",
};

enum { N_TEMPLATES = sizeof templates / sizeof *templates };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    static cllm_chat *chats[N_TEMPLATES];
    if (n_bytes < 2) return 0;
    const size_t which = bytes[0] % N_TEMPLATES;
    const cllm_chat_options options = {.source = {templates[which], strlen(templates[which])}};
    if (!chats[which] && cllm_chat_create(&options, &chats[which], NULL) != CLLM_OK) abort();
    read_answer(chats[which], (const char *)bytes + 2, n_bytes - 2, 1u + bytes[1] % 32, (cllm_string){"", 0});
    return 0;
}
