"""Model files: conversion, quantization, compaction and inspection."""
