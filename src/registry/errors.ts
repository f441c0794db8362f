import { defineErrors } from '../core/index.js'
import { isScript } from './model-file.js'

export const RegistryErrors = defineErrors('REGISTRY', {
  FOLDER_UNREADABLE: {
    status: 500,
    retry: false,
    level: 'error',
    message: (p: { folder: string; reason: string }) =>
      `The models folder "${p.folder}" cannot be read: ${p.reason}. Create it, or set "models.folder" in headrace.config.ts.`,
  },
  FILE_NOT_FOUND: {
    status: 404,
    retry: false,
    level: 'info',
    message: (p: { file: string }) => `There is no file "${p.file}". Check the path; it is relative to where you are.`,
  },
  NOT_ONNX: {
    status: 422,
    retry: false,
    level: 'info',
    message: (p: { file: string; found: string; remedy: string }) =>
      `"${p.file}" is not ${isScript(p.file) ? 'a script' : 'an ONNX model'}: it is ${p.found}. ${p.remedy}`,
  },
  MANIFEST_INVALID: {
    status: 422,
    retry: false,
    level: 'warn',
    message: (p: { source: string; problems: readonly string[] }) =>
      p.problems.length === 1
        ? `${p.source}: ${p.problems[0]}`
        : `${p.source} has ${p.problems.length} problems:\n${p.problems.map((problem) => `  - ${problem}`).join('\n')}`,
  },
  NAME_INVALID: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { what: string; name: string }) =>
      `"${p.name}" cannot be ${p.what}: use letters, digits, ".", "_" and "-", at most 128 of them, starting with a letter or digit.`,
  },
  ALIAS_NAME_INVALID: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { alias: string }) =>
      `"${p.alias}" cannot be an alias: use letters, digits, "_" and "-", at most 128 of them; "latest" and "v1", "v2", … are taken.`,
  },
  CHANGE_INVALID: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { kind: string; problem: string }) => `A change of kind "${p.kind}" ${p.problem}.`,
  },
  MODEL_NOT_FOUND: {
    status: 404,
    retry: false,
    level: 'info',
    message: (p: { model: string }) =>
      `No model named "${p.model}" is registered. "headrace models search" lists those that are; versions of the models folder are not.`,
  },
  VERSION_NOT_FOUND: {
    status: 404,
    retry: false,
    level: 'info',
    message: (p: { model: string; version: number; reason?: string }) =>
      `There is no version ${p.version} of model "${p.model}"${p.reason ? `: ${p.reason}` : ' in the registry'}. Run "headrace models list" to see what there is.`,
  },
  ALIAS_NOT_FOUND: {
    status: 404,
    retry: false,
    level: 'info',
    message: (p: { model: string; alias: string }) =>
      `Model "${p.model}" has no alias "${p.alias}". Set it with "headrace models alias ${p.model} ${p.alias} <version>".`,
  },
  ALIAS_IN_USE: {
    status: 409,
    retry: false,
    level: 'info',
    message: (p: { model: string; alias: string; endpoint: string }) =>
      `The alias "${p.alias}" of model "${p.model}" cannot be removed: endpoint "${p.endpoint}" points at it. Point the endpoint elsewhere first.`,
  },
  DIGEST_CHANGED: {
    status: 409,
    retry: false,
    level: 'error',
    message: (p: { model: string; version: number; difference: string }) =>
      `Version ${p.version} of model "${p.model}" is not what it was: ${p.difference}. Versions are immutable: put the old files back, and give the new ones a new number.`,
  },
  SAME_CONTENT: {
    status: 409,
    retry: false,
    level: 'info',
    message: (p: { model: string; version: number; digest: string }) =>
      `This is what version ${p.version} of model "${p.model}" already is (${p.digest}), so no new version was made. Ask for one anyway with --allow-same.`,
  },
  VERSION_EXISTS: {
    status: 409,
    retry: false,
    level: 'info',
    message: (p: { model: string; version: number }) =>
      `Version ${p.version} of model "${p.model}" is there already, and versions are immutable. Leave the number out to get the next free one.`,
  },
  MODEL_NAME_INVALID: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { name: string; problem: string }) =>
      `"${p.name}" cannot be the name of a registered model: ${p.problem}. Any other text of at most 500 characters can.`,
  },
  MODEL_EXISTS: {
    status: 409,
    retry: false,
    level: 'info',
    message: (p: { name: string; as?: string }) =>
      p.as === undefined
        ? `A model named "${p.name}" is registered already. Take another name, or register a version of that one.`
        : `The name "${p.name}" is taken: calls to it go to the model "${p.as}". Take another one.`,
  },
  REF_INVALID: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { ref: string }) =>
      `"${p.ref}" names no version. Write a model with a number or an alias: fraud@4, fraud/4 or fraud@champion.`,
  },
  FIELD_INVALID: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { field: string; problem: string }) => `"${p.field}" ${p.problem}. Shorten or correct it.`,
  },
  FILES_INVALID: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { path: string; problem: string }) =>
      `The file "${p.path}" cannot be part of a version: ${p.problem}. Nothing was registered.`,
  },
  BLOB_MISSING: {
    status: 409,
    retry: true,
    level: 'warn',
    message: (p: { path: string; digest: string }) =>
      `The bytes of "${p.path}" (${p.digest}) are not in the blob store, so nothing was registered. Upload them first, then register again.`,
  },
  FETCH_FAILED: {
    status: 503,
    retry: true,
    level: 'warn',
    message: (p: { model: string; version: number; reason: string }) =>
      `The files of version ${p.version} of model "${p.model}" cannot be fetched from the blob store: ${p.reason}. It is tried again; what is loaded goes on.`,
  },
  NOT_SERVABLE: {
    status: 409,
    retry: false,
    level: 'info',
    message: (p: { model: string; version: number; reason: string }) =>
      `Version ${p.version} of model "${p.model}" cannot be served: ${p.reason}`,
  },
  REFUSED: {
    status: 422,
    retry: false,
    level: 'info',
    message: (p: { model: string; reason: string }) =>
      `Nothing was pushed to "${p.model}", because it could not be served: ${p.reason}`,
  },
  VERSION_IN_USE: {
    status: 409,
    retry: false,
    level: 'info',
    message: (p: { model: string; version: number; uses: readonly string[] }) =>
      `Version ${p.version} of model "${p.model}" is in use and was not deleted: ${p.uses.join('; ')}. Take it out of use first.`,
  },
  NOT_DELETED: {
    status: 409,
    retry: false,
    level: 'info',
    message: (p: { model: string; version: number }) =>
      `Version ${p.version} of model "${p.model}" is not deleted, so there is nothing to restore.`,
  },
  UPLOAD_NOT_FOUND: {
    status: 404,
    retry: false,
    level: 'info',
    message: (p: { upload: string }) =>
      `There is no upload "${p.upload}": it was finished, or begun more than a day ago. Begin a new one.`,
  },
  UPLOAD_OFFSET: {
    status: 409,
    retry: false,
    level: 'info',
    message: (p: { upload: string; expected: number; offset: number }) =>
      `Upload "${p.upload}" has ${p.expected} bytes of this file, and the piece that arrived starts at ${p.offset}. Go on at ${p.expected}.`,
  },
  UPLOAD_DIGEST: {
    status: 422,
    retry: false,
    level: 'warn',
    message: (p: { path: string; expected: string; actual: string }) =>
      `What arrived of "${p.path}" is ${p.actual} and should be ${p.expected}. It was thrown away: send it again from the start.`,
  },
  PACKAGE_INVALID: {
    status: 422,
    retry: false,
    level: 'warn',
    message: (p: { problem: string }) =>
      `This is no whole package of a version: ${p.problem}. Nothing was imported; export or copy it again.`,
  },
  PACKAGE_SIGNER_UNKNOWN: {
    status: 403,
    retry: false,
    level: 'warn',
    message: (p: { signer: string }) =>
      `The package is signed by ${p.signer}, which is not trusted here. If you know whose key that is, import it with --trust ${p.signer}.`,
  },
  PACKAGE_UNSIGNED: {
    status: 403,
    retry: false,
    level: 'warn',
    message: (_: Record<string, never>) =>
      'The package has no signature, so nobody says where it comes from. Export it again with "headrace models export", or import it with --insecure-unsigned.',
  },
  SOURCE_CHANGED: {
    status: 409,
    retry: true,
    level: 'warn',
    message: (p: { file: string }) =>
      `"${p.file}" changed while it was being read. Wait until it is written, then try again.`,
  },
})
