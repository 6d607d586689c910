"""HL7 version 2 in bytes: frames, character sets, a lazy reader, acknowledgements and the MLLP listener. Knows nothing of oncology."""
