/// <reference path="./.sst/platform/config.d.ts" />

/** What a stage consists of, in reading order. Each noun stands in a file of stacks/; this one only names them. */
export default $config({
  async app(input) {
    const { loadStage } = await import("./stacks/stage.ts");
    const { region, keeps } = loadStage(input?.stage, process.env);
    return {
      name: "ksearch",
      home: "aws",
      providers: { aws: { version: "7.20.0", region } },
      removal: keeps ? "retain" : "remove",
      protect: keeps,
    };
  },
  async run() {
    const { loadStage } = await import("./stacks/stage.ts");
    const { createStorage } = await import("./stacks/storage.ts");
    const { createSecrets } = await import("./stacks/secrets.ts");
    const { createGpu } = await import("./stacks/gpu.ts");
    const { createWorkflow } = await import("./stacks/workflow.ts");
    const { createAlarms } = await import("./stacks/alarms.ts");

    const stage = loadStage($app.stage, process.env);
    const storage = createStorage(stage);
    const secrets = createSecrets();
    const gpu = createGpu(stage, storage);
    const workflow = createWorkflow(stage, storage, secrets, gpu);
    createAlarms(stage, storage, workflow);
    return { config: workflow.config };
  },
});
