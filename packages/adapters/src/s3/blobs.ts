import { setTimeout as sleep } from "node:timers/promises";
import { GetObjectCommand, NoSuchKey, PutObjectCommand, paginateListObjectsV2 } from "@aws-sdk/client-s3";
import { AppError } from "@ksearch/domain";
import type { Blobs } from "@ksearch/ports";
import { awsError, statusOf } from "../aws-errors.ts";
import { addressOf, type Bucket, folderOf } from "./bucket.ts";

/** Tries of a put that meets other writers of its key at the very moment. */
const mostTries = 10;

/**
 * Blobs as objects of a bucket. The client adds a checksum to what it sends and checks the one of what it gets. The role
 * needs `s3:ListBucket`: without it S3 answers for a missing key as for a forbidden one.
 */
export function s3Blobs(place: Bucket): Blobs {
  const { client, bucket } = place;
  const failed = (error: unknown, key: string): AppError => awsError(error, `bucket ${bucket}, ${key}`);
  return {
    async put(key, bytes) {
      const command = new PutObjectCommand({ ...addressOf(place, key), Body: bytes, IfNoneMatch: "*" });
      for (let tries = 1; tries <= mostTries; tries += 1) {
        try {
          await client.send(command);
          return "written";
        } catch (error) {
          if (statusOf(error) === 412) return "existed";
          if (statusOf(error) !== 409) throw failed(error, key);
          await sleep(Math.random() * 50 * tries);
        }
      }
      throw new AppError(
        "retry",
        "aws.busy",
        `bucket ${bucket}, ${key}: others were at it ${mostTries} times; try again`,
      );
    },
    async get(key) {
      const address = addressOf(place, key);
      try {
        const { Body } = await client.send(new GetObjectCommand(address));
        return Body ? await Body.transformToByteArray() : new Uint8Array();
      } catch (error) {
        if (error instanceof NoSuchKey) return null;
        throw failed(error, key);
      }
    },
    async list(folder) {
      const { Bucket, Key } = addressOf(place, folder.replace(/\/$/, ""));
      const keys: string[] = [];
      try {
        for await (const page of paginateListObjectsV2({ client }, { Bucket, Prefix: `${Key}/` }))
          for (const { Key: found } of page.Contents ?? [])
            if (found !== undefined) keys.push(found.slice(folderOf(place).length));
      } catch (error) {
        throw failed(error, folder);
      }
      return keys.sort();
    },
  };
}
