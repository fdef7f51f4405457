(* The paper's losses (Wang et al. 2025, sections 2 and 3), for any d, K, N, m and any law.

   paper                      here
   1, ..., n                  0, ..., n-1: atom j of the paper is atom j - 1
   X, x_n                     X : mat, X i n is coordinate i of sample n; col X n
   D, d_j                     D : mat, D i j is coordinate i of atom j; col D j
   p_l = P(prefix length l)   p (l - 1)
   w_j = P(l >= j)            survival K p (j - 1)
   Top_m(z)                   top K m z; of equal sizes the first index is kept
   E                          E : vec -> vec, any map that reads d coordinates (encoder d K E)
   x - D Lambda_l y           residual D l x y
   L_l(D, E), L_K(D, E)       prefix_loss d K N m X l D E, and full_loss, which is l = K
   L_ND(D, E)                 nested_loss d K N m p X D E                                  *)
From Coq Require Import Reals Lra Lia List Bool.
From OSAE Require Import Sums.
Import ListNotations.
Open Scope R_scope.

Definition vec := nat -> R.
Definition mat := nat -> nat -> R.
Definition col (A : mat) (n : nat) : vec := fun i => A i n.
Definition dot (d : nat) (x y : vec) : R := sum d (fun i => x i * y i).
Definition norm2 (d : nat) (x : vec) : R := dot d x x.

(* The law of the prefix length. *)
Definition law (K : nat) (p : vec) : Prop :=
  (forall k, (k < K)%nat -> 0 <= p k) /\ sum K p = 1.
Definition full_support (K : nat) (p : vec) : Prop :=
  (forall k, (k < K)%nat -> 0 < p k) /\ sum K p = 1.
Definition survival (K : nat) (p : vec) (j : nat) : R :=
  sum K (fun k => if (j <=? k)%nat then p k else 0).

(* Losses of codes y, Y, which any encoder and Top_m may have made. *)
Definition residual (D : mat) (l : nat) (x y : vec) : vec :=
  fun i => x i - sum l (fun j => D i j * y j).
Definition sample_loss (d K : nat) (p : vec) (D : mat) (x y : vec) : R :=
  sum K (fun k => p k * norm2 d (residual D (S k) x y)).
Definition code_loss (d N : nat) (X : mat) (l : nat) (D Y : mat) : R :=
  sum N (fun n => norm2 d (residual D l (col X n) (col Y n))).
Definition nested_code_loss (d K N : nat) (p : vec) (X D Y : mat) : R :=
  sum K (fun k => p k * code_loss d N X (S k) D Y).

(* Top_m keeps the entries that fewer than m others beat: larger ones, or equal and earlier. *)
Definition beats (z : vec) (j k : nat) : bool :=
  if Rlt_dec (Rabs (z j)) (Rabs (z k)) then true
  else if Req_EM_T (Rabs (z j)) (Rabs (z k)) then (k <? j)%nat else false.
Definition rank (K : nat) (z : vec) (j : nat) : nat := length (filter (beats z j) (seq 0 K)).
Definition top (K m : nat) (z : vec) : vec := fun j => if (rank K z j <? m)%nat then z j else 0.

Definition encoder (d K : nat) (E : vec -> vec) : Prop :=
  forall x x', (forall i, (i < d)%nat -> x i = x' i) -> forall j, (j < K)%nat -> E x j = E x' j.
Definition codes (K m : nat) (X : mat) (E : vec -> vec) : mat :=
  fun j n => top K m (E (col X n)) j.

Definition prefix_loss (d K N m : nat) (X : mat) (l : nat) (D : mat) (E : vec -> vec) : R :=
  code_loss d N X l D (codes K m X E).
Definition full_loss (d K N m : nat) (X D : mat) (E : vec -> vec) : R :=
  prefix_loss d K N m X K D E.
Definition nested_loss (d K N m : nat) (p : vec) (X D : mat) (E : vec -> vec) : R :=
  sum K (fun k => p k * prefix_loss d K N m X (S k) D E).

(* Minimisers over unit-norm dictionaries and all encoders. *)
Definition unit_norm (d K : nat) (D : mat) : Prop :=
  forall j, (j < K)%nat -> norm2 d (col D j) = 1.
Definition minimises (d K : nat) (L : mat -> (vec -> vec) -> R) (D : mat) (E : vec -> vec) : Prop :=
  (unit_norm d K D /\ encoder d K E) /\
  forall D' E', unit_norm d K D' -> encoder d K E' -> L D E <= L D' E'.

(* At most m nonzeros: m indices hold the support. *)
Definition sparse (K m : nat) (y : vec) : Prop :=
  exists s, (length s <= m)%nat /\ forall j, (j < K)%nat -> y j <> 0 -> In j s.
Definition sparse_columns (K N m : nat) (Y : mat) : Prop :=
  forall n, (n < N)%nat -> sparse K m (col Y n).

(* The hypotheses of Theorem 3.1. *)
Definition spark_above (d K : nat) (D : mat) (r : nat) : Prop :=
  forall c, sparse K r c -> (forall i, (i < d)%nat -> sum K (fun j => D i j * c j) = 0) ->
  forall j, (j < K)%nat -> c j = 0.
Definition frequency (N : nat) (Y : mat) (j : nat) : nat :=
  length (filter (fun n => if Req_EM_T (Y j n) 0 then false else true) (seq 0 N)).

Record truth (d K N m : nat) (X Ds Ys : mat) : Prop := {
  true_atoms : unit_norm d K Ds;
  true_spark : spark_above d K Ds (2 * m);
  true_nonnegative : forall j n, (j < K)%nat -> (n < N)%nat -> 0 <= Ys j n;
  true_sparse : sparse_columns K N m Ys;
  true_order : forall j k, (j <= k < K)%nat -> (frequency N Ys k <= frequency N Ys j)%nat;
  true_data : forall i n, (i < d)%nat -> (n < N)%nat -> X i n = sum K (fun j => Ds i j * Ys j n)
}.

(* L_ND is a sum over samples. *)
Lemma nested_code_loss_by_samples d K N p X D Y :
  nested_code_loss d K N p X D Y = sum N (fun n => sample_loss d K p D (col X n) (col Y n)).
Proof.
  unfold nested_code_loss, sample_loss, code_loss. rewrite sum_swap.
  apply sum_ext; intros. now rewrite sum_scal.
Qed.

Lemma law_of_full_support K p : full_support K p -> law K p.
Proof. intros [P S]; split; auto using Rlt_le. Qed.

Lemma norm2_nonneg d x : 0 <= norm2 d x.
Proof. apply sum_nonneg; intros. apply Rle_0_sqr. Qed.

Lemma code_loss_nonneg d N X l D Y : 0 <= code_loss d N X l D Y.
Proof. apply sum_nonneg; intros. apply norm2_nonneg. Qed.

Lemma survival_nonneg K p j : law K p -> 0 <= survival K p j.
Proof.
  intros [P _]. apply sum_nonneg; intros k Hk. destruct (j <=? k)%nat; [auto|lra].
Qed.
