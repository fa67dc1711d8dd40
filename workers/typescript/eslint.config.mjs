// The house's rules for TypeScript: those of `shape.toml` as far as they are the same, and what no compiler sees.
import { fileURLToPath } from "node:url";

import { defineConfig } from "eslint/config";
import tseslint from "typescript-eslint";

const NOT_OUR_WORDS = "/([jJ]ob|[eE]nqueue|[dD]equeue|[nN]ack|[cC]onsumer)s?($|[A-Z_])/";

export default defineConfig(
  { ignores: ["dist", "build", "node_modules", "eslint.config.mjs"] },
  {
    files: ["**/*.ts", "**/*.mjs"],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: {
      parserOptions: {
        projectService: { allowDefaultProject: ["scenarios/worker.mjs"] },
        tsconfigRootDir: fileURLToPath(new URL(".", import.meta.url)),
      },
    },
    rules: {
      "max-len": ["error", { code: 110, ignoreStrings: true, ignoreTemplateLiterals: true }],
      "max-lines": ["error", { max: 400 }],
      "max-lines-per-function": ["error", { max: 60 }],
      "no-restricted-syntax": [
        "error",
        {
          selector: `Identifier[name=${NOT_OUR_WORDS}]`,
          message: "CONTRIBUTING.md has the house's word for it",
        },
      ],
      "@typescript-eslint/explicit-module-boundary-types": "error",
      // Numbers in messages are what they are for.
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      // A fetch or a signal may fail with whatever its owner chose, and that is passed on.
      "@typescript-eslint/only-throw-error": "off",
      "@typescript-eslint/prefer-promise-reject-errors": "off",
    },
  },
  { files: ["**/*.mjs"], extends: [tseslint.configs.disableTypeChecked] },
  {
    files: ["test/**"],
    rules: {
      "max-lines": ["error", { max: 500 }],
      "max-lines-per-function": "off",
      "@typescript-eslint/no-floating-promises": [
        "error",
        { allowForKnownSafeCalls: [{ from: "package", package: "node:test", name: "test" }] },
      ],
    },
  },
);
