// Serves a GGUF model on loopback over an API as OpenAI's: node server.mjs MODEL.gguf NAME
//
// Prints the port that it listens on. Knows what rag_pg sends: messages, stream, max_tokens, temperature, response_format. One request
// at a time; a client that hangs up ends its generation.
import http from "node:http";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [modelPath, name] = process.argv.slice(2);
const resolve = createRequire(`${process.env.NODE_MODULES}/`).resolve;
const { getLlama, LlamaChat, LlamaLogLevel } = await import(pathToFileURL(resolve("node-llama-cpp")));
const CONTEXT = 4096;

const llama = await getLlama({ gpu: false, build: "never", progressLogs: false, logLevel: LlamaLogLevel.error });
const model = await llama.loadModel({ modelPath });
const context = await model.createContext({ contextSize: CONTEXT, threads: 2 });
const chat = new LlamaChat({ contextSequence: context.getSequence() });

const history = (messages) => messages.map(({ role, content }) => (role === "assistant"
    ? { type: "model", response: [content] }
    : { type: role === "system" ? "system" : "user", text: content }));

async function generate(asked, onText, signal) {
    const schema = asked.response_format?.json_schema?.schema;
    const turns = history(asked.messages);
    const usage = { prompt_tokens: model.tokenize(asked.messages.map((m) => m.content).join("\n")).length, completion_tokens: 0 };
    const { response, metadata } = await chat.generateResponse([...turns, { type: "model", response: [] }], {
        grammar: schema && (await llama.createGrammarForJsonSchema(schema)),
        maxTokens: asked.max_tokens ?? asked.max_completion_tokens,
        temperature: asked.temperature ?? 0,
        onTextChunk: onText,
        signal,
        stopOnAbortSignal: true,
    });
    usage.completion_tokens = model.tokenize(response).length;
    usage.total_tokens = usage.prompt_tokens + usage.completion_tokens;
    return { text: response, usage, finish: metadata.stopReason === "maxTokens" ? "length" : "stop" };
}

async function answer(asked, response) {
    const hangUp = new AbortController();
    response.on("close", () => hangUp.abort());
    const head = { id: "chatcmpl-1", model: name, created: Math.floor(Date.now() / 1000) };
    if (!asked.stream) {
        const { text, usage, finish } = await generate(asked, undefined, hangUp.signal);
        const choices = [{ index: 0, message: { role: "assistant", content: text }, finish_reason: finish }];
        response.setHeader("content-type", "application/json");
        response.end(JSON.stringify({ ...head, object: "chat.completion", choices, usage }));
        return;
    }
    response.setHeader("content-type", "text/event-stream");
    const send = (delta, finish_reason = null, more = {}) => {
        const choices = [{ index: 0, delta, finish_reason }];
        response.write(`data: ${JSON.stringify({ ...head, object: "chat.completion.chunk", choices, ...more })}\n\n`);
    };
    send({ role: "assistant", content: "" });
    const { usage, finish } = await generate(asked, (content) => send({ content }), hangUp.signal);
    send({}, finish, { usage });
    response.end("data: [DONE]\n\n");
}

let last = Promise.resolve();
const server = http.createServer((request, response) => {
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
        last = last.then(() => answer(JSON.parse(Buffer.concat(parts)), response)).catch((error) => {
            if (!response.headersSent) response.statusCode = 500;
            response.end(JSON.stringify({ error: { message: String(error) } }));
        });
    });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
