/** Made from the API's OpenAPI document: the values that fields of requests may have. */

export const CHOICES = {
  build_dataset: {
    method: [
      { value: "sft", description: "" },
      { value: "dpo", description: "" },
      { value: "grpo", description: "" },
      { value: "orpo", description: "" },
    ],
  },
  train_subagent_model: {
    method: [
      { value: "sft", description: "" },
      { value: "dpo", description: "" },
      { value: "grpo", description: "" },
      { value: "orpo", description: "" },
    ],
    engine: [
      { value: "trl", description: "" },
      { value: "autotrain", description: "" },
    ],
    mode: [
      { value: "demo", description: "" },
      { value: "production", description: "" },
    ],
    backend: [
      { value: "local", description: "" },
      { value: "hf_space", description: "" },
      { value: "hf_jobs", description: "" },
    ],
  },
  deploy_model_to_agent: {
    target: [
      { value: "openrouter", description: "" },
      { value: "huggingface", description: "" },
      { value: "self_hosted", description: "" },
      { value: "local", description: "" },
    ],
    strategy: [
      { value: "canary", description: "Step by step, watched, rolled back by itself." },
      { value: "blue_green", description: "Kept warm by copies of requests, then one switch." },
      { value: "shadow", description: "Gets copies of requests only; nobody gets its answers." },
      { value: "ab", description: "A fixed split, until one is proven better." },
      {
        value: "champion_challenger",
        description: "Several challengers, until one beats the champion.",
      },
      { value: "ensemble", description: "All answer every request; their votes decide." },
      { value: "immediate", description: "All traffic at once." },
    ],
  },
  convert_model_to_gguf: {
    quantization: [
      { value: "Q4_K_M", description: "" },
      { value: "Q5_K_M", description: "" },
      { value: "Q8_0", description: "" },
      { value: "F16", description: "" },
    ],
  },
  search_hyperparameters: {
    keep: [
      { value: "best", description: "" },
      { value: "all", description: "" },
    ],
    method: [
      { value: "sft", description: "" },
      { value: "dpo", description: "" },
      { value: "grpo", description: "" },
    ],
    mode: [
      { value: "demo", description: "" },
      { value: "production", description: "" },
    ],
    backend: [
      { value: "local", description: "" },
      { value: "hf_space", description: "" },
      { value: "hf_jobs", description: "" },
    ],
  },
  check_dataset: {
    method: [
      { value: "sft", description: "" },
      { value: "dpo", description: "" },
      { value: "grpo", description: "" },
      { value: "orpo", description: "" },
    ],
  },
  export_dataset: {
    form: [
      { value: "messages", description: "" },
      { value: "prompt_completion", description: "" },
      { value: "preference", description: "" },
      { value: "problem", description: "" },
      { value: "autotrain_chat", description: "" },
      { value: "autotrain_text", description: "" },
      { value: "autotrain_preference", description: "" },
    ],
  },
} as const;
