"""Does removing an attribute stop a retriever from rewarding it, and what does that cost elsewhere?"""
