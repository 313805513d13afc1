import { createRole, type Statement } from "./role.ts";
import { type BatchGpu, batchInstances, type Stage } from "./stage.ts";
import type { Storage } from "./storage.ts";

/**
 * Where kernels run. Modal is the rule: scripts/deploy.sh deploys its app, the steps call it, nothing of it stands here but
 * its name. AWS Batch on EC2 is off unless the stage names GPUs in KSEARCH_BATCH_GPUS.
 *
 * What Batch costs while no kernel runs, us-east-1 list prices of November 2026: no instance (minvCpus 0), so the six
 * interface endpoints of one zone, 6 × $0.01 an hour = $43.80 a month, and the image in ECR at $0.10 a GB and month.
 */
export type Gpu = {
  modalApp: string;
  submitJobs: Statement[];
  /** Queue and job definition of each GPU at Batch, as JSON for the steps (packages/adapters/src/batch `BatchJobs`); null: off. */
  jobs: $util.Output<string> | null;
};

export function createGpu(stage: Stage, storage: Storage): Gpu {
  const modalApp = `ksearch-referee-${stage.name}`;
  if (stage.batch === null) return { modalApp, submitJobs: [], jobs: null };

  const account = aws.getCallerIdentityOutput().accountId;
  const network = createNetwork(stage, storage);
  const job = createJob(stage, stage.batch.image, account);
  const host = createHost(stage, account);
  const queues = stage.batch.gpus.map((gpu) => createQueue(gpu, network, host));
  const jobs = Object.fromEntries(
    stage.batch.gpus.map((gpu, index) => [gpu, { queue: queues[index]?.arn, definition: job.arn }]),
  );
  return {
    modalApp,
    jobs: $jsonStringify(jobs),
    submitJobs: [
      {
        actions: ["batch:SubmitJob"],
        resources: [job.arnPrefix, $interpolate`${job.arnPrefix}:*`, ...queues.map(({ arn }) => arn)],
      },
      // AWS knows no narrower resource for it.
      { actions: ["batch:DescribeJobs"], resources: ["*"] },
      { actions: ["batch:TerminateJob"], resources: [$interpolate`arn:aws:batch:${stage.region}:${account}:job/*`] },
      {
        actions: ["events:PutTargets", "events:PutRule", "events:DescribeRule"],
        resources: [
          $interpolate`arn:aws:events:${stage.region}:${account}:rule/StepFunctionsGetEventsForBatchJobsRule`,
        ],
      },
    ],
  };
}

type Network = ReturnType<typeof createNetwork>;

/**
 * Subnets without a way out: no internet gateway, no NAT. Hosts reach ECR, ECS and the logs through endpoints, and of S3
 * only the layers of ECR's images and this stage's runs.
 */
function createNetwork(stage: Stage, { bucket }: Storage) {
  const vpc = new aws.ec2.Vpc("GpuVpc", {
    cidrBlock: "10.90.0.0/16",
    enableDnsHostnames: true,
    enableDnsSupport: true,
  });
  // Closed for good, so that nothing is ever in it by mistake.
  new aws.ec2.DefaultSecurityGroup("GpuDefaultSecurityGroup", { vpcId: vpc.id, ingress: [], egress: [] });
  const routes = new aws.ec2.RouteTable("GpuRoutes", { vpcId: vpc.id });
  const zones = aws.getAvailabilityZonesOutput({ state: "available" }).names;
  // Three zones, as GPUs are scarce; endpoints in the first alone, as they cost by the hour and zone.
  const subnets = [0, 1, 2].map((index) => {
    const subnet = new aws.ec2.Subnet(`GpuSubnet${index}`, {
      vpcId: vpc.id,
      cidrBlock: `10.90.${index * 16}.0/20`,
      availabilityZone: zones.apply((names) => names[index % names.length] as string),
      mapPublicIpOnLaunch: false,
    });
    new aws.ec2.RouteTableAssociation(`GpuSubnet${index}Routes`, { subnetId: subnet.id, routeTableId: routes.id });
    return subnet;
  });

  const endpoints = new aws.ec2.SecurityGroup("GpuEndpoints", {
    vpcId: vpc.id,
    description: "AWS services, for the GPU hosts alone",
    ingress: [{ protocol: "tcp", fromPort: 443, toPort: 443, cidrBlocks: [vpc.cidrBlock] }],
    egress: [],
  });
  for (const service of ["ecr.api", "ecr.dkr", "ecs", "ecs-agent", "ecs-telemetry", "logs"])
    new aws.ec2.VpcEndpoint(`GpuEndpoint${service.replaceAll(/\W/g, "")}`, {
      vpcId: vpc.id,
      serviceName: `com.amazonaws.${stage.region}.${service}`,
      vpcEndpointType: "Interface",
      privateDnsEnabled: true,
      subnetIds: subnets.slice(0, 1).map(({ id }) => id),
      securityGroupIds: [endpoints.id],
    });
  const s3 = new aws.ec2.VpcEndpoint("GpuEndpointS3", {
    vpcId: vpc.id,
    serviceName: `com.amazonaws.${stage.region}.s3`,
    vpcEndpointType: "Gateway",
    routeTableIds: [routes.id],
    policy: aws.iam.getPolicyDocumentOutput({
      statements: [
        {
          actions: ["s3:GetObject"],
          resources: [`arn:aws:s3:::prod-${stage.region}-starport-layer-bucket/*`],
          principals: [{ type: "*", identifiers: ["*"] }],
        },
        {
          // Requests and verdicts, through addresses that a step has signed.
          actions: ["s3:GetObject", "s3:PutObject"],
          resources: [$interpolate`${bucket.arn}/*/runs/*`],
          principals: [{ type: "*", identifiers: ["*"] }],
        },
      ],
    }).json,
  });
  const hosts = new aws.ec2.SecurityGroup("GpuHosts", {
    vpcId: vpc.id,
    description: "GPU hosts: out to the endpoints, in from nowhere",
    ingress: [],
    egress: [
      { protocol: "tcp", fromPort: 443, toPort: 443, securityGroups: [endpoints.id] },
      { protocol: "tcp", fromPort: 443, toPort: 443, prefixListIds: [s3.prefixListId] },
    ],
  });
  return { subnets, hosts };
}

/** One evaluation a job. No job role: what a job may read and write are two signed addresses in its parameters. */
function createJob(stage: Stage, image: string, account: $util.Output<string>) {
  const logs = new aws.cloudwatch.LogGroup("GpuJobLogs", { name: `/ksearch/${stage.name}/gpu`, retentionInDays: 30 });
  const repository = image.slice(image.indexOf("/") + 1, image.indexOf("@"));
  const starter = createRole("GpuJobStarter", "ecs-tasks.amazonaws.com", [
    // AWS knows no narrower resource for it.
    { actions: ["ecr:GetAuthorizationToken"], resources: ["*"] },
    {
      actions: ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"],
      resources: [$interpolate`arn:aws:ecr:${stage.region}:${account}:repository/${repository}`],
    },
    { actions: ["logs:CreateLogStream", "logs:PutLogEvents"], resources: [$interpolate`${logs.arn}:*`] },
  ]);
  return new aws.batch.JobDefinition("GpuJob", {
    name: `ksearch-${stage.name}-referee`,
    type: "container",
    platformCapabilities: ["EC2"],
    // An infrastructure fault is seen by the state machine, which decides; Batch itself never runs a job twice.
    retryStrategy: { attempts: 1 },
    timeout: { attemptDurationSeconds: 30 * 60 },
    containerProperties: $jsonStringify({
      image,
      // Its two presigned URLs come as KSEARCH_REQUEST_URL and KSEARCH_ANSWER_URL in the environment: every process of a
      // container may read the arguments of another.
      command: ["python", "-I", "-m", "ksearch_referee.batch_main"],
      executionRoleArn: starter.arn,
      resourceRequirements: [
        { type: "VCPU", value: "3" },
        { type: "MEMORY", value: "12288" },
        { type: "GPU", value: "1" },
      ],
      privileged: false,
      readonlyRootFilesystem: false,
      linuxParameters: { initProcessEnabled: true },
      logConfiguration: {
        logDriver: "awslogs",
        options: { "awslogs-group": logs.name, "awslogs-region": stage.region, "awslogs-stream-prefix": "referee" },
      },
    }),
  });
}

/**
 * The machine itself. Its metadata service, which hands out the host's role, answers only the host: tokens are required and
 * die after one hop, which stops bridged containers; packets of any process that is not root's are dropped, which stops the
 * referee's image where it shares the host's network, as all of it runs as another user. A worker can open no socket in
 * the first place (packages/evaluator, seccomp); this is for the day that it can. Logs are written by the job's starter.
 */
function createHost(stage: Stage, account: $util.Output<string>) {
  const cluster = $interpolate`arn:aws:ecs:${stage.region}:${account}:cluster/*`;
  const instances = $interpolate`arn:aws:ecs:${stage.region}:${account}:container-instance/*`;
  const role = createRole("GpuHostRole", "ec2.amazonaws.com", [
    // AWS knows no narrower resource for it.
    { actions: ["ecs:DiscoverPollEndpoint"], resources: ["*"] },
    // Batch names the cluster when it makes it.
    {
      actions: [
        "ecs:RegisterContainerInstance",
        "ecs:DeregisterContainerInstance",
        "ecs:SubmitContainerStateChange",
        "ecs:SubmitTaskStateChange",
        "ecs:SubmitAttachmentStateChanges",
      ],
      resources: [cluster, instances],
    },
    { actions: ["ecs:Poll", "ecs:StartTelemetrySession", "ecs:UpdateContainerInstancesState"], resources: [instances] },
  ]);
  const profile = new aws.iam.InstanceProfile("GpuHostProfile", { role: role.name });
  const template = new aws.ec2.LaunchTemplate("GpuHost", {
    updateDefaultVersion: true,
    metadataOptions: { httpEndpoint: "enabled", httpTokens: "required", httpPutResponseHopLimit: 1 },
    blockDeviceMappings: [
      {
        deviceName: "/dev/xvda",
        ebs: { volumeSize: 100, volumeType: "gp3", encrypted: "true", deleteOnTermination: "true" },
      },
    ],
    userData: Buffer.from(startUp).toString("base64"),
  });
  return { profile, template };
}

/** Cloud-init of a host; Batch wants MIME parts. */
const startUp = `MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="part"

--part
Content-Type: text/cloud-boothook; charset="us-ascii"

#!/bin/sh
set -e
iptables -I OUTPUT -d 169.254.169.254 -m owner ! --uid-owner 0 -j DROP
iptables -I FORWARD -d 169.254.169.254 -j DROP
mkdir -p /etc/ecs
grep -q ECS_AWSVPC_BLOCK_IMDS /etc/ecs/ecs.config 2>/dev/null || cat >> /etc/ecs/ecs.config <<'CONFIG'
ECS_AWSVPC_BLOCK_IMDS=true
ECS_ENABLE_AWSLOGS_EXECUTIONROLE_OVERRIDE=true
CONFIG

--part--
`;

/** A queue and the environment behind it for one GPU class: empty until a job waits, one job a GPU. */
function createQueue(gpu: BatchGpu, network: Network, { profile, template }: ReturnType<typeof createHost>) {
  const { type, vcpus } = batchInstances[gpu];
  const name = `Gpu${gpu.replaceAll(/\W/g, "")}`;
  const environment = new aws.batch.ComputeEnvironment(`${name}Hosts`, {
    type: "MANAGED",
    computeResources: {
      type: "EC2",
      allocationStrategy: "BEST_FIT_PROGRESSIVE",
      minVcpus: 0,
      // Two hosts at most, whatever waits: more is a quota to ask for and a bill to agree to.
      maxVcpus: 2 * vcpus,
      instanceTypes: [type],
      ec2Configurations: [{ imageType: "ECS_AL2023_NVIDIA" }],
      instanceRole: profile.arn,
      launchTemplate: { launchTemplateId: template.id, version: "$Latest" },
      subnets: network.subnets.map(({ id }) => id),
      securityGroupIds: [network.hosts.id],
    },
  });
  return new aws.batch.JobQueue(`${name}Queue`, {
    name: `ksearch-${$app.stage}-${gpu}`,
    state: "ENABLED",
    priority: 1,
    computeEnvironmentOrders: [{ order: 1, computeEnvironment: environment.arn }],
  });
}
