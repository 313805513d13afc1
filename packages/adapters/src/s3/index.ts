export { s3Blobs } from "./blobs.ts";
export type { Bucket } from "./bucket.ts";
export { presigned } from "./presigned.ts";
