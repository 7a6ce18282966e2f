/* The table of templates for files that have none. Each one writes what the family's own template writes, without
 * tools. A family is recognised by a set of special tokens that no other family has. */
#include "chat/family_templates.h"

#include "gguf/gguf.h"

#include <string.h>

/* A loop over the messages, and the text after them that begins the answer. */
#define EACH_MESSAGE(body) "{% for message in messages %}" body "{% endfor %}"
#define PROMPT(text)       "{% if add_generation_prompt %}{{ '" text "' }}{% endif %}"

/* A template that knows only user and model refuses a system message. messages_change then puts its text into the first
 * user message. */
#define NO_SYSTEM "{% if message.role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"

static const family_template families[] = {
    {"gemma4",
     "Gemma 4",
     "{{ bos_token }}" EACH_MESSAGE(
         "{{ '<|turn>' + ('model' if message.role == 'assistant' else message.role) + '\\n' + "
         "message.content | trim + '<turn|>\\n' }}") PROMPT("<|turn>model\\n"),
     {"<|turn>", "<turn|>"}},
    {"gemma",
     "Gemma",
     "{{ bos_token }}" EACH_MESSAGE(
         NO_SYSTEM "{{ '<start_of_turn>' + ('model' if message.role == 'assistant' else message.role) + '\\n' + "
                   "message.content | trim + '<end_of_turn>\\n' }}") PROMPT("<start_of_turn>model\\n"),
     {"<start_of_turn>", "<end_of_turn>"}},
    {"llama3",
     "Llama 3",
     "{{ bos_token }}" EACH_MESSAGE("{{ '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' + "
                                    "message.content | trim + '<|eot_id|>' }}")
         PROMPT("<|start_header_id|>assistant<|end_header_id|>\\n\\n"),
     {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}},
    {"granite",
     "Granite",
     EACH_MESSAGE(
         "{{ '<|start_of_role|>' + message.role + '<|end_of_role|>' + message.content + '<|end_of_text|>\\n' }}")
         PROMPT("<|start_of_role|>assistant<|end_of_role|>"),
     {"<|start_of_role|>", "<|end_of_role|>"}},
    {"command-r",
     "Command R",
     "{{ bos_token }}" EACH_MESSAGE(
         "{{ '<|START_OF_TURN_TOKEN|>' + {'system': '<|SYSTEM_TOKEN|>', 'user': '<|USER_TOKEN|>', 'assistant': "
         "'<|CHATBOT_TOKEN|>'}[message.role] + message.content | trim + '<|END_OF_TURN_TOKEN|>' }}")
         PROMPT("<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>"),
     {"<|START_OF_TURN_TOKEN|>", "<|CHATBOT_TOKEN|>"}},
    {"deepseek",
     "DeepSeek",
     "{{ bos_token }}" EACH_MESSAGE(
         "{% if message.role == 'user' %}{{ '<｜User｜>' + message.content }}{% elif message.role == 'assistant' %}"
         "{{ '<｜Assistant｜>' + message.content + '<｜end▁of▁sentence｜>' }}{% else %}{{ message.content }}{% endif "
         "%}") PROMPT("<｜Assistant｜>"),
     {"<｜User｜>", "<｜Assistant｜>"}},
    {"glm4",
     "GLM-4",
     "[gMASK]<sop>" EACH_MESSAGE("{{ '<|' + message.role + '|>\\n' + message.content }}") PROMPT("<|assistant|>"),
     {"[gMASK]", "<sop>", "<|assistant|>"}},
    {"phi3",
     "Phi-3",
     EACH_MESSAGE("{{ '<|' + message.role + '|>\\n' + message.content + '<|end|>\\n' }}") PROMPT("<|assistant|>\\n"),
     {"<|user|>", "<|assistant|>", "<|end|>"}},
    {"chatml",
     "ChatML",
     EACH_MESSAGE("{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}")
         PROMPT("<|im_start|>assistant\\n"),
     {"<|im_start|>", "<|im_end|>"}},
    {"mistral",
     "Mistral",
     "{{ bos_token }}" EACH_MESSAGE(
         NO_SYSTEM "{% if message.role == 'user' %}{{ '[INST]' + message.content + '[/INST]' }}{% else %}"
                   "{{ message.content + eos_token }}{% endif %}"),
     {"[INST]", "[/INST]"}},
};

enum { N_FAMILIES = sizeof families / sizeof *families, MOST_TOKENS = 3 };

const family_template *family_template_named(const char *name) {
    for (size_t i = 0; i < N_FAMILIES; i++)
        if (strcmp(families[i].name, name) == 0) return &families[i];
    return NULL;
}

const char *family_template_names(void) {
    return "chatml, command-r, deepseek, gemma, gemma4, glm4, granite, llama3, mistral, phi3";
}

const family_template *family_template_of(const cllm_gguf *gguf) {
    bool found[N_FAMILIES][MOST_TOKENS] = {0};
    const cllm_value *tokens = cllm_gguf_find(gguf, "tokenizer.ggml.tokens");
    if (!tokens || tokens->type != CLLM_ARRAY) return NULL;
    cllm_array rest = tokens->array;
    for (cllm_value token; cllm_array_next(&rest, &token);) {
        if (token.type != CLLM_STRING) return NULL;
        if (token.string.length == 0 || !strchr("<[", token.string.data[0])) continue;
        for (size_t i = 0; i < N_FAMILIES; i++)
            for (size_t k = 0; k < MOST_TOKENS && families[i].tokens[k]; k++)
                if (gguf_is_text(token.string, families[i].tokens[k])) found[i][k] = true;
    }
    for (size_t i = 0; i < N_FAMILIES; i++) {
        bool all = true;
        for (size_t k = 0; k < MOST_TOKENS && families[i].tokens[k]; k++) all = all && found[i][k];
        if (all) return &families[i];
    }
    return NULL;
}
