// The names of the library that draws: one import for every other module.

export {
  h, html, render, useEffect, useErrorBoundary, useLayoutEffect, useMemo, useRef, useState,
} from "../vendor/htm-preact.js";
