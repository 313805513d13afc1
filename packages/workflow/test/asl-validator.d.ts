/** The part of `asl-validator` 4 that we call; the package ships no types. */
declare module "asl-validator" {
  function validate(
    definition: object,
    options?: { checkArn?: boolean; checkPaths?: boolean },
  ): { isValid: boolean; errors: { "Error code": string; Message: string }[] };
  export = validate;
}
