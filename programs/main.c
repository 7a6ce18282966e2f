/* mini-cllm, the program: finds the command that the first argument names and runs it.
 *
 * The program uses only the library's public header. Each command has its own file, except that pull.c also has list
 * and rm, and tokenize.c also has detokenize. */
#include "commands.h"
#include "interrupt.h"
#include "program.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const command commands[] = {
    {GENERATE, "", "MODEL.gguf [PROMPT] [options]",
     "Continue a text.\n"
     "MODEL is a file, or a name: hf:OWNER/NAME[:QUANT] is pulled from the Hugging Face Hub.",
     generate},
    {CHAT, "chat", "MODEL.gguf [QUESTION] [-a FILE]... [options]",
     "Chat with a model. With a QUESTION, or a pipe as standard input, the model answers it and the command ends;\n"
     "the pipe's text is added to the question. Sampling follows the file's recommendations\n"
     "(general.sampling.*) unless an option says otherwise. In the chat, /help lists the commands.",
     chat},
    {INSPECT, "inspect", "MODEL.gguf [--json] [--tensors] [--ctx N]",
     "Show what a GGUF file of any architecture contains, and how much memory it needs to run.", inspect},
    {TOKENIZE, "tokenize", "MODEL.gguf [TEXT | -f FILE] [--no-bos] [--no-special] [--pre NAME] [--text | --json]",
     "Turn a text, or all of standard input, into token ids. The file needs no tensors.", tokenize},
    {DETOKENIZE, "detokenize", "MODEL.gguf [IDS]",
     "Turn token ids, from the arguments or standard input, back into the text.", detokenize},
    {EVAL, "eval", "MODEL.gguf (--tokens IDS [--logits FILE] | --text FILE) [options]",
     "Run tokens and print the likeliest next token after each, or measure the perplexity of a text.", eval},
    {EMBED, "embed", "MODEL.gguf [TEXT | -f FILE | --tokens IDS] [--json | --raw | --cosine] [options]",
     "Turn each line of a text into a vector.\n"
     "Texts with similar meanings have vectors that are close to each other.",
     embed},
    {RERANK, "rerank", "MODEL.gguf -p QUERY [-f FILE] [--json] [options]",
     "Sort documents, one per line, by how well they answer a query.\n"
     "Prints index, score and document, the best first.",
     rerank},
    {TEMPLATE, "template", "[MODEL.gguf] [--chat-template NAME|FILE] [-f FILE] [--parts | --parse] [options]",
     "Render a conversation with a chat template. The conversation is a JSON object of messages and other variables\n"
     "on standard input. With --parse, read a model's answer instead.",
     render_template},
    {GRAMMAR, "grammar", "MODEL.gguf (--grammar FILE | --json-schema FILE | ...) [--check FILE...] [options]",
     "Check if texts follow a grammar. Reads each FILE (- is standard input) and prints a line for it:\n"
     "accepted, or refused at byte N.",
     check_grammar},
    {BENCH, "bench", "MODEL.gguf... [options]",
     "Measure the speed of prompts and of decoding, and compare it with the machine's limits. For an encoder,\n"
     "only prompts are measured. If an option takes numbers separated by commas, all combinations are measured.",
     bench},
    {SERVE, "serve", "[MODEL.gguf...] [--port N] [options]",
     "Serve models over HTTP, to clients of OpenAI, Anthropic, ollama and llama-server. Without a MODEL,\n"
     "a pulled model is loaded when a request names it. Short options have llama-server's meaning.",
     serve},
    {PULL, "pull", "OWNER/NAME[:QUANT]... [-q]",
     "Fetch models from the Hugging Face Hub, or from the URL of a GGUF file. If a model\n"
     "is here already, the Hub is asked for a newer commit.",
     pull},
    {LIST, "list", "[--json]", "List the models that are pulled.", list_models},
    {REMOVE, "rm", "NAME...", "Remove pulled models, and the files that an interrupted pull left.", remove_models},
    {0},
};

/* Commands of other programs, and what does their work here. */
static const struct {
    const char *word, *instead;
} habits[] = {
    {"run", "'mini-cllm chat MODEL' chats with a model"},
    {"cli", "'mini-cllm chat MODEL' chats with a model"},
    {"generate", "'mini-cllm MODEL PROMPT' continues a text"},
    {"complete", "'mini-cllm MODEL PROMPT' continues a text"},
    {"completion", "'mini-cllm MODEL PROMPT' continues a text"},
    {"server", "'mini-cllm serve' is the server"},
    {"start", "'mini-cllm serve' is the server"},
    {"download", "'mini-cllm pull OWNER/NAME' fetches a model"},
    {"show", "'mini-cllm inspect MODEL' shows what a file contains"},
    {"info", "'mini-cllm inspect MODEL' shows what a file contains"},
    {"ls", "'mini-cllm list' lists the models that are pulled"},
    {"remove", "'mini-cllm rm NAME' removes a model"},
    {"delete", "'mini-cllm rm NAME' removes a model"},
    {"cp", "models cannot be renamed or copied; 'mini-cllm serve --alias NAME' gives one another name"},
    {"ps", "a model is in memory while its command runs; 'mini-cllm serve' lists those it has loaded at /api/ps"},
    {"stop", "a model is in memory while its command runs; Ctrl-C ends 'mini-cllm serve'"},
    {"create", "there are no Modelfiles; options such as --system and --temperature set what one would set"},
    {"embedding", "'mini-cllm embed MODEL' makes vectors of texts"},
    {"perplexity", "'mini-cllm eval MODEL --text FILE' measures it"},
    {"version", "'mini-cllm --version' prints it"},
    {"quantize", "this program runs quantized models and makes none; llama.cpp's llama-quantize does"},
    {"convert", "this program runs GGUF files and makes none; llama.cpp's convert_hf_to_gguf.py does"},
};

static int refuse_habit(const char *word) {
    for (size_t i = 0; i < sizeof habits / sizeof *habits; i++)
        if (strcmp(word, habits[i].word) == 0 && access(word, F_OK) != 0)
            return usage_error("'%s' is not a command: %s", word, habits[i].instead);
    return EXIT_SUCCESS;
}

static const command *find_command(const char *name) {
    for (const command *c = commands; c->bit; c++)
        if (*c->name && strcmp(c->name, name) == 0) return c;
    return NULL;
}

static int run_command(int argc, char **argv) {
    const command *c = find_command(argv[1]);
    if (strcmp(argv[1], "help") == 0) {
        c = argc > 2 ? find_command(argv[2]) : commands;
        if (!c) return usage_error("help: '%s' is not a command", argv[2]);
        print_help(c);
        return EXIT_SUCCESS;
    }
    options o;
    bool named = c != NULL;
    if (!named) c = commands;
    int status = named ? EXIT_SUCCESS : refuse_habit(argv[1]);
    if (status != EXIT_SUCCESS) return status;
    status = parse_options(c, argc - named, argv + named, &o);
    if (status == EXIT_SUCCESS) {
        if (o.help)
            print_help(c);
        else if (o.version)
            printf("mini-cllm %s\n", cllm_version());
        else if ((status = find_models(c, &o)) == EXIT_SUCCESS)
            status = c->run(&o);
    }
    free_options(&o);
    return status;
}

/* If a standard stream is closed, the next file that is opened would get its number. So open /dev/null there: reading
 * finds nothing, and writing fails. */
static void open_closed_streams(void) {
    for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; stream++)
        if (fcntl(stream, F_GETFD) < 0) (void)open("/dev/null", O_RDONLY); /* gets the lowest free number */
}

int main(int argc, char **argv) {
    open_closed_streams();
    if (argc < 2) {
        fprintf(stderr, "usage: mini-cllm %s\n       mini-cllm --help\n", commands[0].synopsis);
        return EXIT_USAGE;
    }
    interrupt_install();
    int status = run_command(argc, argv);
    /* buffered output may meet a full disk only now */
    if (status == EXIT_SUCCESS) status = flush_output();
    if (status == EXIT_INTERRUPTED) _exit(interrupt_status()); /* exit would wait until somebody reads a full pipe */
    return status;
}
