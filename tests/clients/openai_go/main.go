// Tries OpenAI's SDK for Go with the server: openai_go URL MODEL. Prints TAP. If the server has a key, it is in
// OPENAI_API_KEY.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/param"
	"github.com/openai/openai-go/v3/shared"
)

var count, failed int

func check(name string, condition bool, detail any) {
	count++
	if condition {
		fmt.Printf("ok %d - %s\n", count, name)
		return
	}
	failed++
	fmt.Printf("not ok %d - %s\n# %.600s\n", count, name, strings.ReplaceAll(fmt.Sprintf("%+v", detail), "\n", "\n# "))
}

func skip(name, reason string) {
	count++
	fmt.Printf("ok %d - %s # SKIP %s\n", count, name, reason)
}

// must ends the test if a request fails that must succeed.
func must[T any](value T, err error) T {
	if err != nil {
		fmt.Printf("# %v\n", err)
		os.Exit(1)
	}
	return value
}

var schema = map[string]any{
	"type":                 "object",
	"properties":           map[string]any{"city": map[string]any{"type": "string", "enum": []string{"Paris", "Rome"}}},
	"required":             []string{"city"},
	"additionalProperties": false,
}

func isCity(text string) bool {
	var value struct{ City string }
	return json.Unmarshal([]byte(text), &value) == nil && (value.City == "Paris" || value.City == "Rome")
}

func metric(url, name string) float64 {
	request := must(http.NewRequest("GET", url+"/metrics", nil))
	request.Header.Set("Authorization", "Bearer "+os.Getenv("OPENAI_API_KEY"))
	answer := must(http.DefaultClient.Do(request))
	defer answer.Body.Close()
	for _, line := range strings.Split(string(must(io.ReadAll(answer.Body))), "\n") {
		var value float64
		if _, after, found := strings.Cut(line, ":"+name+" "); found && !strings.HasPrefix(line, "#") {
			fmt.Sscan(after, &value)
			return value
		}
	}
	return math.NaN()
}

func main() {
	url, model := os.Args[1], os.Args[2]
	key := os.Getenv("OPENAI_API_KEY")
	if key == "" {
		key = "none"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	client := openai.NewClient(option.WithBaseURL(url+"/v1"), option.WithAPIKey(key), option.WithMaxRetries(0))
	question := []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Once upon a time")}
	common := openai.ChatCompletionNewParams{Model: model, Messages: question, Seed: openai.Int(7), MaxTokens: openai.Int(12)}
	var help []option.RequestOption
	if model == "demo" { // the tiny model of the tests needs help to end its reasoning, and to write JSON without empty lines
		help = append(help, option.WithJSONSet("logit_bias", []any{[]any{"<unk>", 11}, []any{"\n", false}, []any{"\n\n", false}, []any{" ", false}}))
	}

	answer := must(client.Chat.Completions.New(ctx, common))
	text := answer.Choices[0].Message.Content
	check("chat: an answer", text != "" && answer.Usage.TotalTokens == answer.Usage.PromptTokens+answer.Usage.CompletionTokens, answer)
	streamed := common
	streamed.StreamOptions.IncludeUsage = openai.Bool(true)
	stream := client.Chat.Completions.NewStreaming(ctx, streamed)
	gathered := openai.ChatCompletionAccumulator{}
	pieces := 0
	for stream.Next() {
		gathered.AddChunk(stream.Current())
		pieces++
	}
	check("stream: the same text, in pieces, and usage", stream.Err() == nil && gathered.Choices[0].Message.Content == text && pieces > 3 &&
		gathered.Usage.CompletionTokens == answer.Usage.CompletionTokens, gathered)
	models := must(client.Models.List(ctx))
	check("models: listed, and by name", models.Data[0].ID == model && must(client.Models.Get(ctx, model)).ID == model, models)

	formed := common
	formed.MaxTokens = openai.Int(600)
	formed.ResponseFormat.OfJSONSchema = &shared.ResponseFormatJSONSchemaParam{
		JSONSchema: shared.ResponseFormatJSONSchemaJSONSchemaParam{Name: "city", Strict: openai.Bool(true), Schema: schema}}
	structured := must(client.Chat.Completions.New(ctx, formed, help...))
	check("JSON schema", isCity(structured.Choices[0].Message.Content), structured)

	called := common
	called.Tools = []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{
		Name: "weather", Description: openai.String("Tells the weather"), Strict: openai.Bool(true), Parameters: schema})}
	called.MaxTokens = openai.Int(1)
	if must(client.Chat.Completions.New(ctx, called)).Usage.PromptTokens > answer.Usage.PromptTokens {
		called.MaxTokens = openai.Int(600)
		called.ParallelToolCalls = openai.Bool(false)
		called.ToolChoice.OfAuto = openai.String("required")
		whole := must(client.Chat.Completions.New(ctx, called, help...)).Choices[0]
		calls := whole.Message.ToolCalls
		check("tools: one call by its schema", whole.FinishReason == "tool_calls" && len(calls) == 1 && calls[0].Function.Name == "weather" && isCity(calls[0].Function.Arguments), whole)
		stream = client.Chat.Completions.NewStreaming(ctx, called, help...)
		gathered = openai.ChatCompletionAccumulator{}
		finished := 0
		for stream.Next() {
			gathered.AddChunk(stream.Current())
			if call, ok := gathered.JustFinishedToolCall(); ok && call.Name == "weather" && isCity(call.Arguments) {
				finished++
			}
		}
		check("tools: in a stream", stream.Err() == nil && finished == 1 && gathered.Choices[0].FinishReason == "tool_calls", gathered)
		called.Messages = append(question, whole.Message.ToParam(), openai.ToolMessage("sunny", calls[0].ID))
		called.ToolChoice.OfAuto = openai.String("auto")
		called.MaxTokens = openai.Int(12)
		after := must(client.Chat.Completions.New(ctx, called))
		check("tools: the talk goes on with the result", after.Usage.PromptTokensDetails.CachedTokens > 0, after)
	} else {
		skip("tools", "the template has no tools")
	}

	vectors := must(client.Embeddings.New(ctx, openai.EmbeddingNewParams{Model: model, Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: []string{"a dog", "a cat"}}})).Data
	length := 0.0
	for _, v := range vectors[0].Embedding {
		length += v * v
	}
	check("embeddings", len(vectors) == 2 && math.Abs(length-1) < 1e-3, length)

	before := metric(url, "requests_cancelled_total")
	endless, abort := context.WithCancel(ctx)
	whole := client.Completions.NewStreaming(endless, openai.CompletionNewParams{Model: openai.CompletionNewParamsModel(model),
		Prompt: openai.CompletionNewParamsPromptUnion{OfString: openai.String("Once upon a time")}}, option.WithJSONSet("ignore_eos", true))
	whole.Next()
	abort()
	for i := 0; i < 200 && metric(url, "requests_cancelled_total") == before; i++ {
		time.Sleep(50 * time.Millisecond)
	}
	check("abort: the server stops", metric(url, "requests_cancelled_total") == before+1, before)

	var problem *openai.Error
	_, err := client.Chat.Completions.New(ctx, openai.ChatCompletionNewParams{Model: model, Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(strings.Repeat("word ", 200000))}})
	check("too long: an Error with its code", errors.As(err, &problem) && problem.StatusCode == 400 && problem.Code == "context_length_exceeded", err)
	common.TopP = param.NewOpt(3.0)
	_, err = client.Chat.Completions.New(ctx, common)
	check("a wrong field: its name", errors.As(err, &problem) && problem.StatusCode == 400 && problem.Param == "top_p", err)
	_, err = client.Batches.List(ctx, openai.BatchListParams{})
	check("an endpoint that is not there", errors.As(err, &problem) && problem.StatusCode == 404, err)

	fmt.Printf("1..%d\n", count)
	if failed > 0 {
		os.Exit(1)
	}
}
