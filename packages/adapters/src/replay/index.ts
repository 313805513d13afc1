export { replayLlm } from "./replay.ts";
export { formatTranscript, parseTranscript, type RecordedReply, type Transcript } from "./transcript.ts";
