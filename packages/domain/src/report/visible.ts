/** Codes for the colours, cursor and title of a terminal: CSI and OSC sequences of ECMA-48. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the point
const terminalCodes = /\u001b\[[0-?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)/g;

/** What a reader would not see, or what turns the direction of reading, so that code would look other than it is. */
const unseen =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the point
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** Text of a model, a kernel or a log without codes of terminals; what else would not be seen shows as `�`. */
export const visible = (text: string): string =>
  text.toWellFormed().replace(/\r\n?/g, "\n").replace(terminalCodes, "").replace(unseen, "\ufffd");
