// Tries OpenAI's SDK for Java with the server: OpenAiJava URL MODEL. Prints TAP. If the server has a key, it is in
// OPENAI_API_KEY.
import com.openai.client.OpenAIClient;
import com.openai.client.okhttp.OpenAIOkHttpClient;
import com.openai.core.JsonValue;
import com.openai.core.http.StreamResponse;
import com.openai.errors.BadRequestException;
import com.openai.errors.NotFoundException;
import com.openai.helpers.ChatCompletionAccumulator;
import com.openai.models.FunctionDefinition;
import com.openai.models.FunctionParameters;
import com.openai.models.ResponseFormatJsonSchema;
import com.openai.models.chat.completions.ChatCompletion;
import com.openai.models.chat.completions.ChatCompletionChunk;
import com.openai.models.chat.completions.ChatCompletionCreateParams;
import com.openai.models.chat.completions.ChatCompletionStreamOptions;
import com.openai.models.chat.completions.ChatCompletionToolChoiceOption;
import com.openai.models.chat.completions.ChatCompletionToolMessageParam;
import com.openai.models.completions.Completion;
import com.openai.models.completions.CompletionCreateParams;
import com.openai.models.embeddings.Embedding;
import com.openai.models.embeddings.EmbeddingCreateParams;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

public class OpenAiJava {
    static final Map<String, Object> SCHEMA =
            Map.of("type", "object", "properties", Map.of("city", Map.of("type", "string", "enum", List.of("Paris", "Rome"))), "required", List.of("city"), "additionalProperties", false);
    static int count, failed;
    static String url, model, key;

    static void check(String name, boolean condition, Object detail) {
        System.out.println((condition ? "ok " : "not ok ") + ++count + " - " + name);
        if (condition) return;
        failed++;
        String text = String.valueOf(detail);
        System.out.println("# " + text.substring(0, Math.min(600, text.length())).replace("\n", "\n# "));
    }

    static boolean isCity(String json) {
        return json.matches("\\s*\\{\\s*\"city\"\\s*:\\s*\"(Paris|Rome)\"\\s*\\}\\s*");
    }

    static Throwable failure(Callable<?> ask) {
        try {
            ask.call();
            return null;
        } catch (Exception e) {
            return e;
        }
    }

    static double metric(String name) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(url + "/metrics")).header("Authorization", "Bearer " + key).build();
        Matcher line = Pattern.compile("^\\w+:" + name + " (\\S+)", Pattern.MULTILINE).matcher(HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).body());
        return line.find() ? Double.parseDouble(line.group(1)) : Double.NaN;
    }

    static ChatCompletionCreateParams.Builder question(int most) {
        return ChatCompletionCreateParams.builder().model(model).addUserMessage("Once upon a time").seed(7).maxCompletionTokens(most);
    }

    /* The tiny model of the tests needs help to end its reasoning, and to write JSON without empty lines. */
    static ChatCompletionCreateParams.Builder helped(ChatCompletionCreateParams.Builder params) {
        if (model.equals("demo"))
            params.putAdditionalBodyProperty("logit_bias", JsonValue.from(List.of(List.of("<unk>", 11), List.of("\n", false), List.of("\n\n", false), List.of(" ", false))));
        return params;
    }

    static ChatCompletion gather(StreamResponse<ChatCompletionChunk> stream, int[] pieces) {
        ChatCompletionAccumulator all = ChatCompletionAccumulator.create();
        stream.stream().forEach(chunk -> {
            all.accumulate(chunk);
            pieces[0]++;
        });
        return all.chatCompletion();
    }

    static void checkTools(OpenAIClient client, long plainTokens) {
        FunctionParameters.Builder parameters = FunctionParameters.builder();
        SCHEMA.forEach((name, value) -> parameters.putAdditionalProperty(name, JsonValue.from(value)));
        FunctionDefinition weather = FunctionDefinition.builder().name("weather").description("Tells the weather").strict(true).parameters(parameters.build()).build();
        if (client.chat().completions().create(question(1).addFunctionTool(weather).build()).usage().get().promptTokens() == plainTokens) {
            System.out.println("ok " + ++count + " - tools # SKIP the template has no tools");
            return;
        }
        ChatCompletionCreateParams.Builder wanted = helped(question(600)).addFunctionTool(weather).toolChoice(ChatCompletionToolChoiceOption.Auto.REQUIRED).parallelToolCalls(false);
        ChatCompletion.Choice called = client.chat().completions().create(wanted.build()).choices().get(0);
        var calls = called.message().toolCalls().orElse(List.of());
        check("tools: one call by its schema", called.finishReason().toString().equals("tool_calls") && calls.size() == 1 && calls.get(0).asFunction().function().name().equals("weather")
                && isCity(calls.get(0).asFunction().function().arguments()), called);
        try (StreamResponse<ChatCompletionChunk> stream = client.chat().completions().createStreaming(wanted.build())) {
            ChatCompletion.Choice streamed = gather(stream, new int[1]).choices().get(0);
            var parts = streamed.message().toolCalls().orElse(List.of());
            check("tools: in a stream", parts.size() == 1 && isCity(parts.get(0).asFunction().function().arguments()), streamed);
        }
        ChatCompletionCreateParams.Builder talk = question(12).addFunctionTool(weather).addMessage(called.message())
                .addMessage(ChatCompletionToolMessageParam.builder().toolCallId(calls.get(0).asFunction().id()).content("sunny").build());
        ChatCompletion after = client.chat().completions().create(talk.build());
        check("tools: the talk goes on with the result", after.usage().get().promptTokensDetails().get().cachedTokens().get() > 0, after);
    }

    public static void main(String[] arguments) throws Exception {
        url = arguments[0];
        model = arguments[1];
        key = System.getenv().getOrDefault("OPENAI_API_KEY", "none");
        OpenAIClient client = OpenAIOkHttpClient.builder().baseUrl(url + "/v1").apiKey(key).maxRetries(0).timeout(Duration.ofMinutes(2)).build();

        ChatCompletion answer = client.chat().completions().create(question(12).build());
        String text = answer.choices().get(0).message().content().get();
        var usage = answer.usage().get();
        check("chat: an answer, valid in all its fields", !text.isEmpty() && usage.totalTokens() == usage.promptTokens() + usage.completionTokens() && answer.validate() != null, answer);
        int[] pieces = new int[1];
        try (StreamResponse<ChatCompletionChunk> stream = client.chat().completions().createStreaming(question(12).streamOptions(ChatCompletionStreamOptions.builder().includeUsage(true).build()).build())) {
            ChatCompletion all = gather(stream, pieces);
            check("stream: the same text, in pieces, and usage", all.choices().get(0).message().content().get().equals(text) && pieces[0] > 3 && all.usage().get().completionTokens() == usage.completionTokens(), all);
        }
        check("models: by name", client.models().retrieve(model).id().equals(model) && client.models().list().data().get(0).id().equals(model), model);

        ResponseFormatJsonSchema.JsonSchema.Schema.Builder schema = ResponseFormatJsonSchema.JsonSchema.Schema.builder();
        SCHEMA.forEach((name, value) -> schema.putAdditionalProperty(name, JsonValue.from(value)));
        ChatCompletion structured = client.chat().completions().create(
                helped(question(600)).jsonSchemaResponseFormat(ResponseFormatJsonSchema.JsonSchema.builder().name("city").strict(true).schema(schema.build()).build()).build());
        check("JSON schema", isCity(structured.choices().get(0).message().content().get()), structured);
        checkTools(client, usage.promptTokens());

        List<Embedding> vectors = client.embeddings().create(EmbeddingCreateParams.builder().model(model).inputOfArrayOfStrings(List.of("a dog", "a cat")).build()).data();
        double length = vectors.get(0).embedding().stream().mapToDouble(v -> v * v).sum();
        check("embeddings", vectors.size() == 2 && Math.abs(length - 1) < 1e-3, length);

        double before = metric("requests_cancelled_total");
        StreamResponse<Completion> endless = client.completions().createStreaming(
                CompletionCreateParams.builder().model(model).prompt("Once upon a time").putAdditionalBodyProperty("ignore_eos", JsonValue.from(true)).build());
        endless.stream().findFirst();
        endless.close();
        for (int i = 0; i < 200 && metric("requests_cancelled_total") == before; i++) Thread.sleep(50);
        check("abort: the server stops", metric("requests_cancelled_total") == before + 1, before);

        Throwable e = failure(() -> client.chat().completions().create(ChatCompletionCreateParams.builder().model(model).addUserMessage("word ".repeat(200000)).build()));
        check("too long: a BadRequestException with its code", e instanceof BadRequestException b && b.code().orElse("").equals("context_length_exceeded"), e);
        e = failure(() -> client.chat().completions().create(question(12).topP(3.0).build()));
        check("a wrong field: its name", e instanceof BadRequestException b && b.param().orElse("").equals("top_p"), e);
        e = failure(() -> client.batches().list());
        check("an endpoint that is not there", e instanceof NotFoundException, e);

        System.out.println("1.." + count);
        System.exit(failed > 0 ? 1 : 0);
    }
}
