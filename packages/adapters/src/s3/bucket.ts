import type { S3Client } from "@aws-sdk/client-s3";
import { blobKey } from "@ksearch/domain";

/** Where blobs are kept: a bucket, and in it one folder a tenant. */
export type Bucket = { readonly client: S3Client; readonly bucket: string; readonly tenant?: string };

/** The tenant's folder in the bucket. */
export const folderOf = ({ tenant = "default" }: Bucket): string => `${tenant}/`;

/** The object of a blob. AppError `caller` `blobs.key`. */
export const addressOf = (place: Bucket, key: string) => ({
  Bucket: place.bucket,
  Key: folderOf(place) + blobKey(key),
});
