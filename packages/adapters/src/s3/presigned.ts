import { GetObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { addressOf, type Bucket } from "./bucket.ts";

/**
 * URLs for one who has no credentials: whoever holds one may read, or write, that one blob for `seconds` (a week at most,
 * and no longer than the signing credentials last). Unlike the port's, a write by URL replaces what is there.
 */
export function presigned(place: Bucket) {
  // The bytes are not known yet, so no checksum of theirs may stand in the URL, as the place's own client would have it.
  const { region, credentials, endpoint, forcePathStyle } = place.client.config;
  const client = new S3Client({
    region,
    credentials,
    ...(endpoint && { endpoint }),
    forcePathStyle,
    requestChecksumCalculation: "WHEN_REQUIRED",
  });
  return {
    get: (key: string, seconds: number): Promise<string> =>
      getSignedUrl(client, new GetObjectCommand(addressOf(place, key)), { expiresIn: seconds }),
    put: (key: string, seconds: number): Promise<string> =>
      getSignedUrl(client, new PutObjectCommand(addressOf(place, key)), { expiresIn: seconds }),
  };
}
