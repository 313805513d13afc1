/**
 * Keys of others' services. scripts/deploy.sh sets them; their values reach only the environment of the functions that ask
 * the service (packages/workflow `stepPorts`). A model's key may be missing: it is the empty text then.
 */
export type Secrets = ReturnType<typeof createSecrets>;

export function createSecrets() {
  const modelKeys = {
    OPENAI_API_KEY: new sst.Secret("OpenaiApiKey", "").value,
    GEMINI_API_KEY: new sst.Secret("GeminiApiKey", "").value,
    LLM_API_KEY: new sst.Secret("LlmApiKey", "").value,
  };
  const modalToken = {
    MODAL_TOKEN_ID: new sst.Secret("ModalTokenId").value,
    MODAL_TOKEN_SECRET: new sst.Secret("ModalTokenSecret").value,
  };
  return { llm: modelKeys, referee: modalToken };
}
