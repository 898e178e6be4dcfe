"""One-shot pruning: zeros where they change a layer's output least on calibration data, and the weights that stay
moved to make up for them (optimal brain surgeon, layer by layer; Frantar and Alistarh, arXiv 2208.11580, 2301.00774).

forms: a layer as a matrix product. moments: the Hessian of its inputs. surgeon: which weights go, and what the others
become. graph, stages: which layers are pruned together, and the part of the network that shows their inputs. store:
the values between two parts. pruner: all of it, for a model.
"""
