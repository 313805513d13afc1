export { fileBlobs } from "./blobs.ts";
export { openFolder } from "./folder.ts";
